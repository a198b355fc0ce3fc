/**
 * Every cookie of this server: its name, its attributes, and how it is read and set. Must not know what a cookie gives
 * access to; page-request.ts does. Add a new cookie as a name here.
 */
import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { issuerPath } from '../issuer-path.ts'
import type { Random, Seconds } from '../system.ts'

interface CookieNames {
  /** A random value that identifies the browser. Forms and flows are bound to it. */
  readonly browser: string
  /** The secret of the user session. */
  readonly session: string
}

export interface PageCookies {
  /** Returns the browser's random value. Sets a new one if the browser has none. */
  browserId(request: FastifyRequest, reply: FastifyReply, random: Pick<Random, 'bytes'>): string
  sessionSecret(request: FastifyRequest): string | undefined
  /** @param maxAge maximum lifetime of a session; the store decides when it really ends */
  setSession(reply: FastifyReply, secret: string, maxAge: Seconds): void
  clearSession(reply: FastifyReply): void
}

const BROWSER_BYTES = 16
const SUFFIX_LENGTH = 8

/**
 * The prefix `__Host-` keeps other hosts, and responses over plain HTTP, from setting these cookies (RFC 6265bis §4.1.3.2). It
 * requires `Secure`, which Safari does not accept from an http issuer, so there the names have no prefix. Such an issuer is on
 * this machine.
 */
export function cookieNames(issuer: string): CookieNames {
  const prefix = isHttps(issuer) ? '__Host-' : ''
  const suffix = suffixOf(issuer)
  return { browser: `${prefix}keyturn-browser${suffix}`, session: `${prefix}keyturn-session${suffix}` }
}

/**
 * Cookies ignore the port (RFC 6265 §8.5), and `__Host-` requires the path `/`. So an issuer that may share its host with
 * others has names of its own.
 */
function suffixOf(issuer: string): string {
  if (isHttps(issuer) && new URL(issuer).port === '' && issuerPath(issuer) === '') return ''
  return `-${createHash('sha256').update(issuer).digest('base64url').slice(0, SUFFIX_LENGTH)}`
}

const isHttps = (issuer: string): boolean => new URL(issuer).protocol === 'https:'

export function createPageCookies(issuer: string): PageCookies {
  const names = cookieNames(issuer)
  // `Lax` and not `Strict`, so that users who arrive by a link or redirect from an application are still signed in.
  const attributes = { path: '/', httpOnly: true, secure: isHttps(issuer), sameSite: 'lax' } as const
  return {
    browserId(request, reply, random) {
      const existing = request.cookies[names.browser]
      if (existing && /^[\w-]{22}$/.test(existing)) return existing
      const browser = random.bytes(BROWSER_BYTES).toString('base64url')
      // The response to a POST sets no cookie: another site's POST comes without cookies, and its response would replace the
      // browser's value.
      if (request.method !== 'POST') reply.setCookie(names.browser, browser, attributes)
      return browser
    },
    sessionSecret: (request) => request.cookies[names.session],
    setSession(reply, secret, maxAge) {
      reply.setCookie(names.session, secret, { ...attributes, maxAge })
    },
    clearSession(reply) {
      reply.clearCookie(names.session, attributes)
    },
  }
}
