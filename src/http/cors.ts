/**
 * Lets pages of any origin read a response (the CORS protocol of the Fetch standard). Never with credentials: these
 * endpoints use no cookies, and a page that sends a token must already hold it. Must not know any endpoint.
 */
import type { FastifyInstance } from 'fastify'

/** `*` covers every header except Authorization. A fixed list would break clients that add a tracing header. */
const REQUEST_HEADERS = 'Authorization, DPoP, *'
/** Headers that a page may read in addition to those that are always readable. */
const RESPONSE_HEADERS = 'DPoP-Nonce, ETag, Retry-After, WWW-Authenticate'
const PREFLIGHT_SECONDS = 600

/** Applies to every route that is added to this scope afterwards. */
export function enableCors(scope: FastifyInstance): void {
  const handledPaths = new Set<string>()
  scope.addHook('onRequest', (_request, reply, done) => {
    reply.header('access-control-allow-origin', '*').header('access-control-expose-headers', RESPONSE_HEADERS)
    done()
  })
  // One preflight route for each path, because a wildcard would also match unknown paths and endpoints without CORS.
  scope.addHook('onRoute', ({ url }) => {
    if (handledPaths.has(url)) return
    handledPaths.add(url)
    scope.options(url, async (_request, reply) =>
      reply
        .header('access-control-allow-methods', 'GET, HEAD, POST')
        .header('access-control-allow-headers', REQUEST_HEADERS)
        .header('access-control-max-age', PREFLIGHT_SECONDS)
        .status(204)
        .send(),
    )
  })
}
