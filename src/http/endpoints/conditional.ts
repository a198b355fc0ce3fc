import type { FastifyRequest } from 'fastify'
import fresh from 'fresh'

/** Whether the client already has the version with this tag (RFC 9110 §13.1.2). */
export function matchesEtag(request: FastifyRequest, etag: string): boolean {
  // `Cache-Control` is left out: `fresh` treats `no-cache` as a request for the full response. The Fetch standard (§4.6) adds
  // it to every request with `If-None-Match`, so verifiers on Node.js would never get a 304.
  return fresh({ 'if-none-match': request.headers['if-none-match'] }, { etag })
}
