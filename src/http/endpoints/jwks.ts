import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Services } from '../services.ts'
import { matchesEtag } from './conditional.ts'

/** RFC 7517 §5, served from memory: it must answer when nothing else does. */
export function jwksEndpoint({ ring }: Services) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { body, etag, cacheControl } = ring.jwks()
    reply.header('etag', etag).header('cache-control', cacheControl)
    if (matchesEtag(request, etag)) return reply.status(304).send()
    return reply.type('application/jwk-set+json').send(body)
  }
}
