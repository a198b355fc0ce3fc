/** Measures every request that got a response. Must not know any endpoint, or what the metrics do. */
import type { FastifyInstance } from 'fastify'
import type { Metrics } from '../metrics/metrics.ts'
import { OAUTH_METADATA, OPENID_METADATA } from './routes.ts'

/** The label of unknown paths and their methods, so that requests cannot create new time series. */
const OTHER = 'other'

/** @param prefix the path of the issuer, or empty; labels do not contain it, so that all installations can share a dashboard */
export function measure(app: FastifyInstance, metrics: Pick<Metrics, 'answered'>, prefix: string): void {
  const labels = new Map<string, string>()
  app.addHook('onRoute', ({ url }) => {
    labels.set(url, routeLabel(url, prefix))
  })
  app.addHook('onResponse', (request, reply, done) => {
    const known = labels.get(request.routeOptions.url ?? '')
    metrics.answered({
      endpoint: known ?? OTHER,
      method: known === undefined ? OTHER : request.method,
      statusCode: reply.statusCode,
      seconds: reply.elapsedTime / 1000,
    })
    done()
  })
}

/** The label of a route, without the path of the issuer. All assets share one label, because their names change. */
export function routeLabel(url: string, prefix: string): string {
  const document = [OAUTH_METADATA, OPENID_METADATA].find((path) => url === path + prefix)
  if (document !== undefined) return document
  if (url === prefix) return '/'
  const path = url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : url
  return path.startsWith('/assets/') ? '/assets' : path
}
