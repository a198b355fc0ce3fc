/** The hook that requires a session. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type BrowserSessionError, hasCode } from './errors.ts'

/** A Fastify `onRequest` or `preHandler` hook. */
export type Guard = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/** `refusalOf` says why a request that has the cookie of a session must not use the session. */
export function sessionGuard(
  loginPath: string,
  refusalOf: (request: FastifyRequest) => BrowserSessionError | undefined,
): Guard {
  return async (request, reply) => {
    reply.header('cache-control', 'no-store')
    if (request.browserSession !== null) return undefined
    const refusal = refusalOf(request)
    const signInHelps = refusal === undefined || hasCode(refusal, 'SESSION_ENDED')
    if (refusal !== undefined && !(signInHelps && isNavigation(request))) throw refusal
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
