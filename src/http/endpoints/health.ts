import type { FastifyReply, FastifyRequest } from 'fastify'

/** The process responds. Trouble with the store is no reason to restart it. */
export async function live(_request: FastifyRequest, reply: FastifyReply) {
  return reply.header('cache-control', 'no-store').send({ status: 'live' })
}

/**
 * Whether the load balancer should send requests to this node. The reason against it goes to the log alone, because it may
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
