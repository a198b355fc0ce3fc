import type { FastifyReply, FastifyRequest } from 'fastify'
import { type KnownVerifiers, VERIFIER_HEADER } from '../../keys/known-verifiers.ts'
import type { LiveRing } from '../../keys/live-ring.ts'
import { matchesEtag } from './conditional.ts'

export interface JwksDeps {
  readonly ring: Pick<LiveRing, 'jwks'>
  readonly knownVerifiers: Pick<KnownVerifiers, 'served'>
}

/** RFC 7517 §5, served from memory, so that it works even if the store is unavailable. */
export function jwksEndpoint({ ring, knownVerifiers }: JwksDeps) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { body, etag, cacheControl, version } = ring.jwks()
    // HEAD transfers no keys, so its sender does not have them.
    if (request.method === 'GET') knownVerifiers.served(request.headers[VERIFIER_HEADER], version)
    reply.header('etag', etag).header('cache-control', cacheControl)
    if (matchesEtag(request, etag)) return reply.status(304).send()
    return reply.type('application/jwk-set+json').send(body)
  }
}
