import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Services } from '../services.ts'

/** RFC 7517 §5, served from memory: it must answer when nothing else does. */
export function jwksEndpoint({ ring }: Services) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { body, etag, cacheControl } = ring.jwks()
    reply.header('etag', etag).header('cache-control', cacheControl)
    // RFC 9110 §13.1.2: weak comparison, any of the list, or `*`.
    const known = request.headers['if-none-match']
    if (known !== undefined && matches(known, etag)) return reply.status(304).send()
    return reply.type('application/jwk-set+json').send(body)
  }
}

function matches(header: string, etag: string): boolean {
  return header === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}
