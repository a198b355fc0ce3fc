/** Counts every request that got a response. Must not know any endpoint, or what the metrics do. */
import type { FastifyInstance } from 'fastify'
import type { Metrics } from '../metrics/metrics.ts'
import { OAUTH_METADATA } from './routes.ts'

/** The label of every unknown path and method: requests must not be able to create new time series. */
const OTHER = 'other'

/** @param prefix path of the issuer, or empty; removed from labels, so that every installation can use the same dashboard */
export function measure(app: FastifyInstance, metrics: Pick<Metrics, 'answered'>, prefix: string): void {
  const names = new Map<string, string>()
  app.addHook('onRoute', ({ url }) => {
    names.set(url, nameOf(url, prefix))
  })
  app.addHook('onResponse', (request, reply, done) => {
    const known = names.get(request.routeOptions.url ?? '')
    metrics.answered({
      endpoint: known ?? OTHER,
      method: known === undefined ? OTHER : request.method,
      statusCode: reply.statusCode,
      seconds: reply.elapsedTime / 1000,
    })
    done()
  })
}

/** The label of a route: without the path of the issuer, and one label for all assets, whose names change with their contents. */
export function nameOf(url: string, prefix: string): string {
  if (url === OAUTH_METADATA + prefix) return OAUTH_METADATA
  const path = url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : url
  return path.startsWith('/assets/') ? '/assets' : path
}
