/** Records a span for every request, from its headers to the end of its response. Must not know any endpoint. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { RequestSpan, Tracing } from '../tracing/tracing.ts'
import { routeLabel } from './measure.ts'
import { METRICS_PATH } from './routes.ts'

/** Requests that monitoring sends every few seconds. Their spans would only hide the others. */
const isProbe = (route: string): boolean => route.startsWith('/health/') || route === METRICS_PATH

/** @param prefix the path of the issuer, or empty; span names do not contain it */
export function trace(app: FastifyInstance, tracing: Pick<Tracing, 'request'>, prefix: string): void {
  const open = new WeakMap<FastifyRequest, RequestSpan>()

  function end(request: FastifyRequest, status?: number): void {
    const span = open.get(request)
    open.delete(request)
    span?.end(status)
  }

  app.addHook('onRequest', (request, reply, done) => {
    const { url } = request.routeOptions
    const route = url === undefined || request.is404 ? undefined : routeLabel(url, prefix)
    if (route !== undefined && isProbe(route)) return done()
    const { method, id, headers } = request
    const span = tracing.request({ method, route, requestId: id, caller: headers.traceparent })
    open.set(request, span)
    // A client that hangs up gets no response, so onResponse is never called.
    reply.raw.once('close', () => end(request))
    span.run(done)
  })
  app.addHook('onResponse', (request, reply, done) => {
    end(request, reply.statusCode)
    done()
  })
}
