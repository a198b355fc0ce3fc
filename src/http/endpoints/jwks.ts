import type { FastifyReply, FastifyRequest } from 'fastify'
import { VERIFIER_HEADER } from '../../keys/known-verifiers.ts'
import type { Services } from '../services.ts'
import { matchesEtag } from './conditional.ts'

/** RFC 7517 §5, served from memory: it must answer when nothing else does. */
export function jwksEndpoint({ ring, knownVerifiers }: Services) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { body, etag, cacheControl, version } = ring.jwks()
    knownVerifiers.served(request.headers[VERIFIER_HEADER], version)
    reply.header('etag', etag).header('cache-control', cacheControl)
    if (matchesEtag(request, etag)) return reply.status(304).send()
    return reply.type('application/jwk-set+json').send(body)
  }
}
