/**
 * What every port of the server has in common: how long and how much clients may send, how many may be connected, metrics, spans, and
 * the end of its connections. Must not know any route.
 */
import type { Server, TlsOptions } from 'node:tls'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { ADMIN_PATH } from '../admin/built-ins.ts'
import type { Config } from '../config/load.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Random } from '../system.ts'
import type { Tracing } from '../tracing/tracing.ts'
import { respondOnSocket, respondToBadUrl } from './broken-request.ts'
import { clientAddress } from './client-address.ts'
import { type ConnectionLimit, limitConnections } from './connection-limit.ts'
import { measure } from './measure.ts'
import {
  type ClientCertificateOf,
  certificateFromProxy,
  certificateOfConnection,
} from './tls/client-certificate.ts'
import type { TlsFiles } from './tls/files.ts'
import { trace } from './trace.ts'
import { trustedProxies } from './trusted-proxies.ts'
import { watchUnusedConnections } from './unused-connections.ts'

/** How long a client may take. The defaults of Fastify and Node are much longer, or unlimited. */
export interface ConnectionLimits {
  /** Headers and body together. */
  readonly request: number
  readonly headers: number
  /** An idle connection between two requests; longer than the usual 60 s of a proxy in front. */
  readonly keepAlive: number
  /** A connection without traffic, for example because the client does not read its response. */
  readonly socket: number
  /** How often connections are checked. `request` and `headers` may be exceeded by this much. */
  readonly check: number
  /** Requests on one connection, after which it is closed, so that clients spread over the nodes again. */
  readonly requests: number
}

/** All values are in milliseconds, except the last. */
export const CONNECTION_LIMITS: ConnectionLimits = {
  request: 10_000,
  headers: 5_000,
  keepAlive: 65_000,
  socket: 70_000,
  check: 1_000,
  requests: 10_000,
}

export const MAX_HEADER_BYTES = 16_384

/** A path of the administration API may contain the URI of an API, percent-encoded. */
const MAX_PATH_LENGTH = 2000

function noSchemas(): never {
  throw new Error('a route with a schema needs a compiler')
}

export function listenerOptions(logger: FastifyBaseLogger, limits: ConnectionLimits) {
  return {
    loggerInstance: logger,
    // One line for each request would double the cost of the log. The audit trail has what matters.
    logController: new LogController({ disableRequestLogging: true }),
    // No child logger for each request: creating one costs more than most requests log. Log lines contain the request ID.
    childLoggerFactory: (parent: FastifyBaseLogger) => parent,
    requestIdHeader: false,
    // Fastify would run the handler of every GET for HEAD too. Only documents accept HEAD (methods.ts).
    exposeHeadRoutes: false,
    requestTimeout: limits.request,
    connectionTimeout: limits.socket,
    keepAliveTimeout: limits.keepAlive,
    maxRequestsPerSocket: limits.requests,
    http: {
      headersTimeout: limits.headers,
      connectionsCheckingInterval: limits.check,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    forceCloseConnections: 'idle',
    // Fastify would load its validator and its serializer, which need two megabytes, although only the administration has schemas.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    clientErrorHandler: respondOnSocket,
    frameworkErrors: respondToBadUrl(null),
  } as const
}

export interface ListenerDeps {
  readonly config: Pick<Config, 'trustProxy' | 'maxConnections' | 'admin'>
  readonly random: Pick<Random, 'id'>
  readonly logger: FastifyBaseLogger
  readonly limits: ConnectionLimits
  readonly metrics: Metrics | undefined
  readonly tracing: Tracing | undefined
  /** The path of the issuer, or empty. */
  readonly prefix: string
  /** Without it the listener speaks plain HTTP. */
  readonly tls?: TlsFiles | null | undefined
  /** Whether the listener asks clients for certificates. */
  readonly asksForCertificates?: boolean
}

export interface Listener {
  readonly app: FastifyInstance
  readonly clientCertificateOf: ClientCertificateOf
  readonly connections: ConnectionLimit['counts']
  /** Whether the server is stopping. */
  isClosing(): boolean
}

/** A port without routes. */
export function createListener({
  config,
  random,
  logger,
  limits,
  metrics,
  tracing,
  prefix,
  tls,
  asksForCertificates = false,
}: ListenerDeps): Listener {
  const isTrustedProxy = trustedProxies(config.trustProxy)
  const options = listenerOptions(logger, limits)
  const app = Fastify({
    ...options,
    // Fastify's types would make every instance with TLS a type of its own.
    ...(tls
      ? ({ https: { ...options.http, ...tlsOptions(tls, limits, asksForCertificates) } } as object)
      : {}),
    trustProxy: config.trustProxy === 0 ? false : isTrustedProxy,
    genReqId: () => random.id(),
    return503OnClosing: false,
    frameworkErrors: respondToBadUrl(config.admin ? prefix + ADMIN_PATH : null),
    routerOptions: { caseSensitive: true, ignoreTrailingSlash: false, maxParamLength: MAX_PATH_LENGTH },
  })
  tls?.renew(app.server as unknown as Server)
  if (tracing) trace(app, tracing, prefix)
  if (metrics) measure(app, metrics, prefix)
  const connections = limitConnections(app.server, config.maxConnections, (address) =>
    isTrustedProxy(address, 0),
  )
  app.addHook('onRequest', (request, _reply, done) => {
    connections.receiving(request.raw, () => clientAddress(request))
    done()
  })
  let closing = false
  const closeUnused = watchUnusedConnections(app.server)
  app.addHook('preClose', async () => {
    closing = true
    closeUnused()
  })
  app.addHook('onSend', (_request, reply, payload, done) => {
    reply.header('x-content-type-options', 'nosniff')
    // Otherwise the client would send its next request on a connection that is about to be closed.
    if (closing) reply.header('connection', 'close')
    done(null, payload)
  })
  return {
    app,
    clientCertificateOf: asksForCertificates
      ? certificateOfConnection()
      : config.trustProxy === 0
        ? () => null
        : certificateFromProxy(isTrustedProxy),
    connections: connections.counts,
    isClosing: () => closing,
  }
}

const tlsOptions = (tls: TlsFiles, limits: ConnectionLimits, asksForCertificates: boolean): TlsOptions => ({
  ...tls.options(),
  handshakeTimeout: limits.headers,
  requestCert: asksForCertificates,
  rejectUnauthorized: false,
})
