/**
 * Puts the HTTP server together: (services, logger) → Fastify. Never listens, never reads the environment, so
 * that tests and the command line run the same thing.
 */
import cors from '@fastify/cors'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { live, ready } from './http/endpoints/health.ts'
import { jwksEndpoint } from './http/endpoints/jwks.ts'
import { baseUrl, metadataEndpoint } from './http/endpoints/metadata.ts'
import { answerUnknown } from './http/methods.ts'
import { type ProtocolRoute, protocolScope } from './http/protocol.ts'
import { JWKS_PATH, OAUTH_METADATA, OPENID_METADATA, protocolEndpoints } from './http/routes.ts'
import type { Services } from './http/services.ts'
import type { TrustProxy } from './config/parsers.ts'
import type { Random } from './system.ts'

/** How long a client may take; Fastify and Node would wait much longer, or for ever. */
const TIMEOUTS = {
  /** Headers and body together. */
  request: 15_000,
  headers: 10_000,
  /** An idle connection between two requests; longer than the usual 60 s of a proxy in front. */
  keepAlive: 65_000,
  /** A connection on which nothing moves, e.g. a client that does not read its answer. */
  socket: 70_000,
  check: 2_000,
} as const

const MAX_HEADER_BYTES = 16_384

/** A hop count as the function it means; Fastify takes everything else as it is. */
function trustedProxies(setting: TrustProxy) {
  return typeof setting === 'number' ? (_address: string, hop: number) => hop < setting : setting
}

export interface AppDeps {
  readonly services: Services
  readonly logger: FastifyBaseLogger
  readonly random: Random
}

export async function createApp({ services, logger, random }: AppDeps): Promise<FastifyInstance> {
  const { config } = services
  const app = Fastify({
    loggerInstance: logger,
    // One line a request would double the cost of the log; the audit trail says what matters.
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy: trustedProxies(config.trustProxy),
    genReqId: () => random.bytes(9).toString('base64url'),
    requestIdHeader: false,
    requestTimeout: TIMEOUTS.request,
    connectionTimeout: TIMEOUTS.socket,
    keepAliveTimeout: TIMEOUTS.keepAlive,
    http: {
      headersTimeout: TIMEOUTS.headers,
      connectionsCheckingInterval: TIMEOUTS.check,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: { caseSensitive: true, ignoreTrailingSlash: false },
  })
  answerUnknown(app)
  app.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff')
  })

  const prefix = new URL(config.issuer).pathname.replace(/\/$/, '')
  const base = baseUrl(config.issuer)
  const routes = (open: boolean): ProtocolRoute[] =>
    protocolEndpoints
      .filter((endpoint) => endpoint.cors === open)
      .map(({ path, handler }) => ({ url: prefix + path, endpoint: base + path, handler: handler(services) }))

  await app.register(async (browsers) => {
    await browsers.register(cors, { origin: '*', methods: ['GET', 'HEAD', 'POST'], maxAge: 600 })
    const metadata = metadataEndpoint(config, protocolEndpoints)
    browsers.get(prefix + JWKS_PATH, jwksEndpoint(services))
    // RFC 8414 §3.1 puts the issuer's path behind the well-known part, OpenID Connect Discovery §4 before it.
    browsers.get(OAUTH_METADATA + prefix, metadata)
    browsers.get(prefix + OPENID_METADATA, metadata)
    await browsers.register((scope) => protocolScope(scope, routes(true)))
  })
  await app.register((scope) => protocolScope(scope, routes(false)))

  app.get('/health/live', live)
  app.get('/health/ready', ready(services))
  return app
}
