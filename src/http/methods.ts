/** A wrong method is 405 with `Allow` (RFC 9110 §15.5.6), anything unknown 404; both say it in JSON. */
import type { FastifyInstance } from 'fastify'

/** Notes which methods each path has as routes are added, and answers for all others. */
export function answerUnknown(app: FastifyInstance): void {
  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set<string>()
    for (const name of [method].flat()) known.add(name)
    methods.set(url, known)
  })
  app.setNotFoundHandler(async (request, reply) => {
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = methods.get(path)
    reply.header('cache-control', 'no-store')
    if (!allowed) return reply.status(404).send({ error: 'not_found' })
    // @fastify/cors answers OPTIONS on every path by itself; it is no method of ours.
    const allow = [...allowed].filter((name) => name !== 'OPTIONS').sort()
    return reply
      .status(405)
      .header('allow', allow.join(', '))
      .send({ error: 'invalid_request', error_description: `the method must be ${allow.join(' or ')}` })
  })
}
