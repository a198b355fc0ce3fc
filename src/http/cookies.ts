/**
 * Every cookie of this server: its name, its attributes, and how it is read and set. Must not know what a cookie's value
 * gives access to; page-request.ts does. A new cookie is a constant here.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Random, Seconds } from '../system.ts'

// The prefix `__Host-` keeps other hosts, and responses over plain HTTP, from setting these cookies (RFC 6265bis §4.1.3.2).
/** A random value for each browser. Forms and flows are bound to it. */
const BROWSER_COOKIE = '__Host-keyturn-browser'
/** The secret of the user session. */
const SESSION_COOKIE = '__Host-keyturn-session'

/** `Lax` and not `Strict`: users arrive from applications by a link or a redirect, and must be recognised then. */
const ATTRIBUTES = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const
const BROWSER_BYTES = 16

/** The browser's random value, which is set now if the browser does not have one yet. */
export function browserId(
  request: FastifyRequest,
  reply: FastifyReply,
  random: Pick<Random, 'bytes'>,
): string {
  const known = request.cookies[BROWSER_COOKIE]
  if (known && /^[\w-]{22}$/.test(known)) return known
  const browser = random.bytes(BROWSER_BYTES).toString('base64url')
  // Not in the response to a POST: a POST from another site comes without cookies, and the response would replace the browser's value.
  if (request.method !== 'POST') reply.setCookie(BROWSER_COOKIE, browser, ATTRIBUTES)
  return browser
}

export const sessionSecret = (request: FastifyRequest): string | undefined => request.cookies[SESSION_COOKIE]

/** @param maxAge the longest that a session can last; the store decides when it ends */
export function setSessionCookie(reply: FastifyReply, secret: string, maxAge: Seconds): void {
  reply.setCookie(SESSION_COOKIE, secret, { ...ATTRIBUTES, maxAge })
}

export function clearSessionCookie(reply: FastifyReply): void {
  reply.clearCookie(SESSION_COOKIE, ATTRIBUTES)
}
