import { BlockList, isIPv6 } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Metrics } from '../../metrics/metrics.ts'

/** For a port of its own, which is for the scraper alone. */
export function metricsEndpoint({ contentType, text }: Metrics) {
  return async (_request: FastifyRequest, reply: FastifyReply) =>
    reply
      .header('cache-control', 'no-store')
      .header('content-type', contentType)
      .send(await text())
}

/** For the port of everything else: only who is on this machine, and did not come through a proxy. */
export function localMetricsEndpoint(metrics: Metrics) {
  const serve = metricsEndpoint(metrics)
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { forwarded, 'x-forwarded-for': forwardedFor } = request.headers
    const here = isLocal(request.socket.remoteAddress ?? '')
    if (here && forwarded === undefined && forwardedFor === undefined) return serve(request, reply)
    return reply.status(403).header('cache-control', 'no-store').send({ error: 'forbidden' })
  }
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

/** Also as `::ffff:127.0.0.1`. */
const isLocal = (address: string): boolean => LOOPBACK.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
