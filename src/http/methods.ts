/**
 * A wrong method is 405 with `Allow` (RFC 9110 §15.5.6), anything unknown 404; both say it in JSON, but to people with a
 * page.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** False: it was none of theirs, and nothing was sent. */
export type AnswerPeople = (
  kind: 'not-found' | 'method-not-allowed',
  request: FastifyRequest,
  reply: FastifyReply,
) => boolean

/** Notes which methods each path has as routes are added, and answers for all others. */
export function answerUnknown(app: FastifyInstance, people: AnswerPeople): void {
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
      if (people('not-found', request, reply)) return reply
      return reply.status(404).send({ error: 'not_found' })
    }
    // OPTIONS is only there for browsers to ask with (cors.ts).
    const allow = [...allowed].filter((name) => name !== 'OPTIONS').sort()
    reply.header('allow', allow.join(', '))
    if (people('method-not-allowed', request, reply)) return reply
    return reply
      .status(405)
      .send({ error: 'invalid_request', error_description: `the method must be ${allow.join(' or ')}` })
  }

  app.setNotFoundHandler(refuse)
  // Before the body is looked at: what is wrong with it does not matter.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) refuse(request, reply)
    else done()
  })
}

/** The route with a parameter, such as `/status-lists/:number`, that the path belongs to. */
function patternOf(path: string, patterns: Iterable<string>): string | undefined {
  const parts = path.split('/')
  return [...patterns].find((pattern) => {
    const wanted = pattern.split('/')
    return (
      wanted.length === parts.length && wanted.every((part, i) => part.startsWith(':') || part === parts[i])
    )
  })
}
