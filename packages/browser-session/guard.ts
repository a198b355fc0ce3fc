/** The hook that requires a session. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { BrowserSessionError } from './errors.ts'

/** A Fastify `onRequest` or `preHandler` hook. */
export type Guard = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/** `isForged` says whether a request has the cookie of a session but does not come from a page of this app. */
export function sessionGuard(loginPath: string, isForged: (request: FastifyRequest) => boolean): Guard {
  return async (request, reply) => {
    reply.header('cache-control', 'no-store')
    if (request.browserSession !== null) return undefined
    if (isForged(request)) throw new BrowserSessionError('CSRF')
    if (!isNavigation(request)) return reply.code(401).send({ error: 'not_signed_in', login: loginPath })
    return reply.redirect(`${loginPath}?${new URLSearchParams({ return_to: request.url })}`, 302)
  }
}

/** Whether the browser will show the response as a page. A script could do nothing with a redirect to a login page. */
function isNavigation({ method, headers }: FastifyRequest): boolean {
  if (method !== 'GET') return false
  const mode = headers['sec-fetch-mode']
  return mode === undefined ? (headers.accept ?? '').includes('text/html') : mode === 'navigate'
}
