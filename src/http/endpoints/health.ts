import type { FastifyReply, FastifyRequest } from 'fastify'

/** Liveness: the process responds. An unavailable store is no reason to restart it. */
export async function live(_request: FastifyRequest, reply: FastifyReply) {
  return reply.header('cache-control', 'no-store').send({ status: 'live' })
}

/**
 * Readiness: whether the load balancer should send requests to this node. The reason why not is only logged, because it may
 * name files and hosts.
 */
export function ready(readiness: () => Promise<string | null>) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    reply.header('cache-control', 'no-store')
    const problem = await readiness()
    if (problem === null) return reply.send({ status: 'ready' })
    request.log.warn({ request_id: request.id, problem }, 'not ready')
    return reply.status(503).header('retry-after', '1').send({ status: 'not ready' })
  }
}
