/** Tells the metrics of every request that was answered. Must not know any endpoint, or what is done with it. */
import type { FastifyInstance } from 'fastify'
import type { Metrics } from '../metrics/metrics.ts'
import { OAUTH_METADATA } from './routes.ts'

/** What is none of ours, whatever it was: a stranger must not be able to make up a new series. */
const OTHER = 'other'

/** @param prefix path of the issuer, or empty; left out, so that dashboards are the same everywhere */
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

/** Of a route: the same for every issuer, and for assets, whose names change with their contents. */
export function nameOf(url: string, prefix: string): string {
  if (url === OAUTH_METADATA + prefix) return OAUTH_METADATA
  const path = url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : url
  return path.startsWith('/assets/') ? '/assets' : path
}
