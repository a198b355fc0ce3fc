import type { FastifyReply, FastifyRequest } from 'fastify'
import { isLoopbackAddress } from '../../loopback.ts'
import type { Metrics } from '../../metrics/metrics.ts'

/** For the port that only serves metrics: every client that can reach the port may read them. */
export function metricsEndpoint({ contentType, text }: Metrics) {
  return async (_request: FastifyRequest, reply: FastifyReply) =>
    reply
      .header('cache-control', 'no-store')
      .header('content-type', contentType)
      .send(await text())
}

/** For the main port: accepts only requests from this machine that did not come through a proxy. */
export function localMetricsEndpoint(metrics: Metrics) {
  const serve = metricsEndpoint(metrics)
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { forwarded, 'x-forwarded-for': forwardedFor } = request.headers
    const here = isLoopbackAddress(request.socket.remoteAddress ?? '')
    if (here && forwarded === undefined && forwardedFor === undefined) return serve(request, reply)
    return reply.status(403).header('cache-control', 'no-store').send({ error: 'forbidden' })
  }
}
