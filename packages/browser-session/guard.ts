/** Lets only signed-in browsers pass. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { BrowserSessionError } from './errors.ts'

/** A Fastify `onRequest` or `preHandler` hook. */
export type Guard = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/** `forged` says whether the request had a session's cookie but not this app's page behind it. */
export function guard(loginPath: string, forged: (request: FastifyRequest) => boolean): Guard {
  return async (request, reply) => {
    reply.header('cache-control', 'no-store')
    if (request.browserSession !== null) return undefined
    if (forged(request)) throw new BrowserSessionError('CSRF')
    if (!isNavigation(request)) return reply.code(401).send({ error: 'not_signed_in', login: loginPath })
    return reply.redirect(`${loginPath}?${new URLSearchParams({ return_to: request.url })}`, 302)
  }
}

/** Somebody looks at a page; a script that fetches could do nothing with a login page. */
function isNavigation({ method, headers }: FastifyRequest): boolean {
  if (method !== 'GET') return false
  const mode = headers['sec-fetch-mode']
  return mode === undefined ? (headers.accept ?? '').includes('text/html') : mode === 'navigate'
}
