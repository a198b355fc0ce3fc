import type { FastifyReply, FastifyRequest } from 'fastify'
import { isLoopbackAddress, isLoopbackHost } from '../../loopback.ts'
import type { Metrics } from '../../metrics/metrics.ts'

/**
 * The metrics on a port of their own, which every client that can reach the port may read.
 * @param localOnly the port listens on a loopback address
 */
export function metricsEndpoint({ contentType, text }: Metrics, localOnly: boolean) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    reply.header('cache-control', 'no-store')
    // DNS rebinding: any site can point its own name to 127.0.0.1, so that scripts on its pages could read this response. The
    // browser still sends the name of the site as Host (RFC 9110 §15.5.20).
    if (localOnly && !namesThisMachine(request.headers.host)) {
      return reply.status(421).send({ error: 'misdirected_request' })
    }
    return reply.header('content-type', contentType).send(await text())
  }
}

/** The metrics on the main port, which accept only requests from this machine that did not come through a proxy. */
export function localMetricsEndpoint(metrics: Metrics) {
  const serve = metricsEndpoint(metrics, true)
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { forwarded, 'x-forwarded-for': forwardedFor } = request.headers
    const isLocal = isLoopbackAddress(request.socket.remoteAddress ?? '')
    if (isLocal && forwarded === undefined && forwardedFor === undefined) return serve(request, reply)
    return reply.status(403).header('cache-control', 'no-store').send({ error: 'forbidden' })
  }
}

function namesThisMachine(host = ''): boolean {
  const url = `http://${host}`
  return URL.canParse(url) && isLoopbackHost(new URL(url).hostname)
}
