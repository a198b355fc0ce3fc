import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Asset } from '../../views/assets.ts'
import { matchesEtag } from './conditional.ts'

const SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

/** What a page loads; its name has its content's hash, so it may be kept for ever. */
export function assetEndpoint({ contentType, body, etag }: Asset) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    reply.header('cache-control', 'public, max-age=31536000, immutable').header('etag', etag)
    // Whoever opens it by its address must not find a document of ours that runs what somebody drew into it.
    if (contentType === 'image/svg+xml') reply.header('content-security-policy', SVG_POLICY)
    if (matchesEtag(request, etag)) return reply.status(304).send()
    return reply.type(contentType).send(body)
  }
}
