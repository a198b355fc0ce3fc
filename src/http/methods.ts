/**
 * Which methods have a route, and the responses to requests without one: a wrong method gets 405 with `Allow` (RFC 9110
 * §15.5.6), an unknown path gets 404. Both are JSON, or a page for browsers. Must not know any endpoint.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/**
 * The route option of a GET that writes nothing and reads no cookie or token. Only such routes accept HEAD: link checkers and
 * previews send HEAD to any URL and expect it to be safe (RFC 9110 §9.2.1), but opening a page may issue a code or extend a
 * session.
 */
export const DOCUMENT = { exposeHeadRoute: true } as const

/** Sends a page if the client prefers HTML, and returns true. Otherwise sends nothing and returns false. */
export type HtmlNotFound = (
  kind: 'not-found' | 'method-not-allowed',
  request: FastifyRequest,
  reply: FastifyReply,
) => boolean

/** Collects the methods of each path as routes are added, and responds to all other requests. */
export function notFoundHandler(app: FastifyInstance, htmlNotFound: HtmlNotFound): void {
  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set<string>()
    for (const name of [method].flat()) known.add(name)
    methods.set(url, known)
  })

  function refuse(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = methods.get(path) ?? methods.get(patternOf(path, methods.keys()) ?? '')
    reply.header('cache-control', 'no-store')
    if (!allowed) {
      if (htmlNotFound('not-found', request, reply)) return reply
      return reply.status(404).send({ error: 'not_found' })
    }
    // OPTIONS exists only for the preflight requests of browsers (cors.ts).
    const allow = [...allowed].filter((name) => name !== 'OPTIONS').sort()
    reply.header('allow', allow.join(', '))
    if (htmlNotFound('method-not-allowed', request, reply)) return reply
    return reply
      .status(405)
      .send({ error: 'invalid_request', error_description: `the method must be ${allow.join(' or ')}` })
  }

  app.setNotFoundHandler(refuse)
  // This hook runs before the body is parsed: an error in the body must not hide that the path or the method is wrong.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) refuse(request, reply)
    else done()
  })
}

/** The route with a parameter, such as `/status-lists/:number`, or with an open end, such as `/admin/*`, that matches the path. */
function patternOf(path: string, patterns: Iterable<string>): string | null {
  const parts = path.split('/')
  const found = [...patterns].find((pattern) => {
    const segments = pattern.split('/')
    const open = segments.at(-1) === '*'
    return (
      (open ? segments.length <= parts.length : segments.length === parts.length) &&
      segments.every((part, i) => part.startsWith(':') || part === '*' || part === parts[i])
    )
  })
  return found ?? null
}
