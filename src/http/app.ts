/**
 * Puts the HTTP server together: (services, logger) → Fastify. Never listens, never reads the environment, so
 * that tests and the command line run the same thing.
 */
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { TrustProxy } from '../config/parsers.ts'
import { issuerBase, issuerPath } from '../issuer-path.ts'
import { isLoopbackHost } from '../loopback.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Random } from '../system.ts'
import type { Tracing } from '../tracing/tracing.ts'
import { answerBadUrl, answerOnSocket } from './broken-request.ts'
import { answerPeople, browserScope } from './browser.ts'
import { openToBrowsers } from './cors.ts'
import { assetEndpoint } from './endpoints/asset.ts'
import { live, ready } from './endpoints/health.ts'
import { jwksEndpoint } from './endpoints/jwks.ts'
import { metadataEndpoint } from './endpoints/metadata.ts'
import { localMetricsEndpoint, metricsEndpoint } from './endpoints/metrics.ts'
import { statusAggregationEndpoint, statusListEndpoint } from './endpoints/status-list.ts'
import { sendFailure } from './failures.ts'
import { measure } from './measure.ts'
import { answerUnknown } from './methods.ts'
import { pageRoutes } from './pages/index.ts'
import { type ProtocolRoute, protocolScope } from './protocol.ts'
import {
  JWKS_PATH,
  METRICS_PATH,
  OAUTH_METADATA,
  OPENID_METADATA,
  protocolEndpoints,
  STATUS_AGGREGATION_PATH,
  STATUS_LISTS_PATH,
} from './routes.ts'
import type { Services } from './services.ts'
import { trace } from './trace.ts'
import { watchUnusedConnections } from './unused-connections.ts'

/** What a client may take; Fastify and Node would wait much longer, or for ever. */
export interface ConnectionLimits {
  /** Headers and body together. */
  readonly request: number
  readonly headers: number
  /** An idle connection between two requests; longer than the usual 60 s of a proxy in front. */
  readonly keepAlive: number
  /** A connection on which nothing moves, e.g. a client that does not read its answer. */
  readonly socket: number
  /** How often connections are looked at; the two limits at the top are late by as much. */
  readonly check: number
  /** Requests on one connection, after which it is closed, so that clients spread over the nodes again. */
  readonly requests: number
}

/** In milliseconds, but for the last. */
export const CONNECTION_LIMITS: ConnectionLimits = {
  request: 15_000,
  headers: 10_000,
  keepAlive: 65_000,
  socket: 70_000,
  check: 2_000,
  requests: 10_000,
}

const MAX_HEADER_BYTES = 16_384

/** A hop count as the function it means; Fastify takes everything else as it is. */
function trustedProxies(setting: TrustProxy) {
  return typeof setting === 'number' ? (_address: string, hop: number) => hop < setting : setting
}

export interface AppDeps {
  readonly services: Services
  readonly logger: FastifyBaseLogger
  readonly random: Random
  readonly limits?: ConnectionLimits
  readonly metrics?: Metrics | undefined
  readonly tracing?: Tracing | undefined
}

/** What holds for every port. */
function common(logger: FastifyBaseLogger, limits: ConnectionLimits) {
  return {
    loggerInstance: logger,
    // One line a request would double the cost of the log; the audit trail says what matters.
    logController: new LogController({ disableRequestLogging: true }),
    // A child logger for each request would cost more than most requests log; our lines name the request themselves.
    childLoggerFactory: (parent: FastifyBaseLogger) => parent,
    requestIdHeader: false,
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
    clientErrorHandler: answerOnSocket,
    frameworkErrors: answerBadUrl,
  } as const
}

export async function createApp(deps: AppDeps): Promise<FastifyInstance> {
  const { services, logger, random, limits = CONNECTION_LIMITS, metrics, tracing } = deps
  const { config, audit } = services
  const app = Fastify({
    ...common(logger, limits),
    trustProxy: trustedProxies(config.trustProxy),
    genReqId: () => random.id(),
    return503OnClosing: false,
    routerOptions: { caseSensitive: true, ignoreTrailingSlash: false },
  })
  app.setErrorHandler(sendFailure)
  const prefix = issuerPath(config.issuer)
  if (tracing) trace(app, tracing, prefix)
  if (metrics) measure(app, metrics, prefix)
  answerUnknown(app, answerPeople(services))
  let closing = false
  const endUnused = watchUnusedConnections(app.server)
  app.addHook('preClose', async () => {
    closing = true
    endUnused()
  })
  app.addHook('onSend', (_request, reply, payload, done) => {
    reply.header('x-content-type-options', 'nosniff')
    // Or the client would send its next request into a connection that is about to go.
    if (closing) reply.header('connection', 'close')
    done(null, payload)
  })

  const base = issuerBase(config.issuer)
  const routes = (open: boolean): ProtocolRoute[] =>
    protocolEndpoints
      .filter((endpoint) => endpoint.cors === open)
      .map(({ path, refused, status = 200, bearer, handler }) => ({
        url: prefix + path,
        endpoint: base + path,
        refused,
        status,
        bearer,
        handler: handler(services),
      }))

  await app.register(async (browsers) => {
    openToBrowsers(browsers)
    catchUpFirst(browsers, services)
    const metadata = metadataEndpoint(config, protocolEndpoints)
    browsers.get(prefix + JWKS_PATH, jwksEndpoint(services))
    browsers.get(prefix + STATUS_AGGREGATION_PATH, statusAggregationEndpoint(services))
    browsers.get(`${prefix}${STATUS_LISTS_PATH}/:number`, statusListEndpoint(services))
    // RFC 8414 §3.1 puts the issuer's path behind the well-known part, OpenID Connect Discovery §4 before it.
    browsers.get(OAUTH_METADATA + prefix, metadata)
    browsers.get(prefix + OPENID_METADATA, metadata)
    await browsers.register((scope) => protocolScope(scope, routes(true), audit))
  })
  await app.register(async (others) => {
    catchUpFirst(others, services)
    await others.register((scope) => protocolScope(scope, routes(false), audit))
    await others.register((scope) => browserScope(scope, services, pageRoutes(services)))
  })
  for (const file of services.look.files) app.get(prefix + file.path, assetEndpoint(file))

  app.get('/health/live', live)
  app.get('/health/ready', ready(services))
  // Elsewhere a proxy may lead everybody here, in ways that cannot be told from somebody on this machine.
  if (metrics && config.metricsPort === null && isLoopbackHost(new URL(config.issuer).hostname))
    app.get(METRICS_PATH, localMetricsEndpoint(metrics))
  return app
}

/** A process that was frozen finds requests waiting, and would answer them with what was true then. */
function catchUpFirst(app: FastifyInstance, { catchUp }: Services): void {
  app.addHook('preHandler', (_request, _reply, done) => {
    const waiting = catchUp()
    if (waiting) waiting.then(() => done(), done)
    else done()
  })
}

export interface MetricsAppDeps {
  readonly metrics: Metrics
  readonly logger: FastifyBaseLogger
  readonly limits?: ConnectionLimits
}

/** Another server, for the metrics alone: whoever may reach its port may read them. */
export function createMetricsApp({
  metrics,
  logger,
  limits = CONNECTION_LIMITS,
}: MetricsAppDeps): FastifyInstance {
  const app = Fastify({ ...common(logger, limits) })
  answerUnknown(app, () => false)
  app.get(METRICS_PATH, metricsEndpoint(metrics))
  return app
}
