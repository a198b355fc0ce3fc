/**
 * Every cookie of this server: its name, its attributes, and how it is read and set. Must not know what a cookie gives
 * access to; page-request.ts does. Add a new cookie as a constant here.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Random, Seconds } from '../system.ts'

// The prefix `__Host-` keeps other hosts, and responses over plain HTTP, from setting these cookies (RFC 6265bis §4.1.3.2).
/** A random value that identifies the browser. Forms and flows are bound to it. */
const BROWSER_COOKIE = '__Host-keyturn-browser'
/** The secret of the user session. */
const SESSION_COOKIE = '__Host-keyturn-session'

/** `Lax` and not `Strict`, so that users who arrive by a link or redirect from an application are still signed in. */
const ATTRIBUTES = { path: '/', httpOnly: true, secure: true, sameSite: 'lax' } as const
const BROWSER_BYTES = 16

/** Returns the browser's random value. Sets a new one if the browser has none. */
export function browserId(
  request: FastifyRequest,
  reply: FastifyReply,
  random: Pick<Random, 'bytes'>,
): string {
  const existing = request.cookies[BROWSER_COOKIE]
  if (existing && /^[\w-]{22}$/.test(existing)) return existing
  const browser = random.bytes(BROWSER_BYTES).toString('base64url')
  // The response to a POST sets no cookie: another site's POST comes without cookies, and its response would replace the
  // browser's value.
  if (request.method !== 'POST') reply.setCookie(BROWSER_COOKIE, browser, ATTRIBUTES)
  return browser
}

export const sessionSecret = (request: FastifyRequest): string | undefined => request.cookies[SESSION_COOKIE]

/** @param maxAge maximum lifetime of a session; the store decides when it really ends */
export function setSessionCookie(reply: FastifyReply, secret: string, maxAge: Seconds): void {
  reply.setCookie(SESSION_COOKIE, secret, { ...ATTRIBUTES, maxAge })
}

export function clearSessionCookie(reply: FastifyReply): void {
  reply.clearCookie(SESSION_COOKIE, ATTRIBUTES)
}
