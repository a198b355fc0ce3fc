/** The server of the port that serves only metrics. */
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Metrics } from '../metrics/metrics.ts'
import { limitConnections } from './connection-limit.ts'
import { metricsEndpoint } from './endpoints/metrics.ts'
import { CONNECTION_LIMITS, type ConnectionLimits, listenerOptions } from './listener.ts'
import { DOCUMENT, notFoundHandler } from './methods.ts'
import { METRICS_PATH } from './routes.ts'

/** Limit of this port. */
const MAX_METRICS_CONNECTIONS = 100

export interface MetricsAppDeps {
  readonly metrics: Metrics
  /** Whether the port listens on a loopback address. */
  readonly localOnly: boolean
  readonly logger: FastifyBaseLogger
  readonly limits?: ConnectionLimits
}

/** A separate server that only serves metrics: every client that can reach its port can read them. */
export function createMetricsApp({
  metrics,
  localOnly,
  logger,
  limits = CONNECTION_LIMITS,
}: MetricsAppDeps): FastifyInstance {
  const app = Fastify({ ...listenerOptions(logger, limits) })
  limitConnections(app.server, MAX_METRICS_CONNECTIONS, () => false)
  notFoundHandler(app, () => false)
  app.get(METRICS_PATH, DOCUMENT, metricsEndpoint(metrics, localOnly))
  return app
}
