/**
 * Lets pages of any origin read an answer (the Fetch standard's CORS protocol). Never with credentials: there
 * are no cookies here, and a token that a page sends it must hold already. Must not know any endpoint.
 */
import type { FastifyInstance } from 'fastify'

/** `*` covers every header but this one; a fixed list would break whoever adds a tracing header. */
const REQUEST_HEADERS = 'Authorization, *'
/** What a page may read besides the few that are always readable. */
const RESPONSE_HEADERS = 'ETag, Retry-After, WWW-Authenticate'
const PREFLIGHT_SECONDS = 600

/** For every route that is added to this scope from now on. */
export function openToBrowsers(scope: FastifyInstance): void {
  const answered = new Set<string>()
  scope.addHook('onRequest', (_request, reply, done) => {
    reply.header('access-control-allow-origin', '*').header('access-control-expose-headers', RESPONSE_HEADERS)
    done()
  })
  // Route by route: a wildcard would answer for paths that are nobody's, and for those that are not open.
  scope.addHook('onRoute', ({ url }) => {
    if (answered.has(url)) return
    answered.add(url)
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
