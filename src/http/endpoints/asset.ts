import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Asset } from '../../views/assets.ts'
import { matchesEtag } from './conditional.ts'

const SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

/** A file that pages load. Its name contains the hash of its content, so browsers may cache it forever. */
export function assetEndpoint({ contentType, body, etag }: Asset) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    reply.header('cache-control', 'public, max-age=31536000, immutable').header('etag', etag)
    // An SVG that is opened directly is a document of this origin, and must not run scripts that it contains.
    if (contentType === 'image/svg+xml') reply.header('content-security-policy', SVG_POLICY)
    if (matchesEtag(request, etag)) return reply.status(304).send()
    return reply.type(contentType).send(body)
  }
}
