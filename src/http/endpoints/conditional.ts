import type { FastifyRequest } from 'fastify'
import fresh from 'fresh'

/** Whether the client already has what this tag stands for (RFC 9110 §13.1.2). */
export function matchesEtag(request: FastifyRequest, etag: string): boolean {
  // Without `Cache-Control`: `fresh` takes `no-cache` as a wish for the whole answer, and the Fetch standard (§4.6) adds it
  // to every request for which a program sets `If-None-Match`, so that verifiers on Node.js would never get a 304.
  return fresh({ 'if-none-match': request.headers['if-none-match'] }, { etag })
}
