import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Asset } from '../../views/assets.ts'
import { matchesEtag } from './conditional.ts'

/** What a page loads; its name has its content's hash, so it may be kept for ever. */
export function assetEndpoint({ contentType, body, etag }: Asset) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    reply.header('cache-control', 'public, max-age=31536000, immutable').header('etag', etag)
    if (matchesEtag(request, etag)) return reply.status(304).send()
    return reply.type(contentType).send(body)
  }
}
