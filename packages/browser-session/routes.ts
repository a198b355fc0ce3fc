/** The four endpoints: sign-in, callback, session and logout. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Cookies, readCookies } from './cookies.ts'
import { passesCsrfCheck } from './csrf.ts'
import type { Encryption } from './encryption.ts'
import { BrowserSessionError, hasCode } from './errors.ts'
import type { OpenIdClient } from './openid-client.ts'
import type { Settings } from './options.ts'
import { returnUrl } from './return-to.ts'
import { newSession, type Session, type SessionRepository } from './session.ts'
import type { SignInTransactions } from './sign-in-transactions.ts'
import type { TokenRefresh } from './token-refresh.ts'

export interface Parts {
  readonly settings: Settings
  readonly issuer: OpenIdClient
  readonly sessions: SessionRepository
  readonly tokenRefresh: TokenRefresh
  readonly transactions: SignInTransactions
  readonly cookies: Cookies
  readonly encryption: Encryption
  /** Returns the session of the request's cookies, even if the request may be forged. */
  sessionOf(request: FastifyRequest): Session | undefined
  /** Returns why the request must not use its session, if there is a reason. */
  refusalOf(request: FastifyRequest): BrowserSessionError | undefined
}

/** How long a browser may take from the logout here to the logout at the issuer. */
const LOGOUT_SECONDS = 60
/** A longer ID token does not fit into the cookie. Without the hint, the issuer asks the user. */
const MAX_HINT_LENGTH = 3800

/** Content of the cookie between the two logouts. */
interface Logout {
  /** Seconds since 1970. */
  readonly at: number
  readonly idToken?: string
}

export function addRoutes(app: FastifyInstance, parts: Parts): void {
  const { settings, issuer, sessions, tokenRefresh, transactions, cookies, encryption } = parts
  const { sessionOf, refusalOf } = parts
  const { origin, paths, clock } = settings
  const logoutCookie = cookies.name('.logout')
  const options = { exposeHeadRoute: false, logLevel: 'warn', onRequest: setSecurityHeaders } as const

  /** Never rejects: a failure must not keep the user from signing out, and there is nothing else to try. */
  async function revoke(refreshToken: string | undefined, request: FastifyRequest): Promise<void> {
    if (refreshToken === undefined) return
    await issuer.revoke(refreshToken).catch((error) => {
      request.log.warn({ code: error?.code }, 'a refresh token could not be revoked')
    })
  }

  app.get(paths.login, options, async (request, reply) => {
    const { return_to: requested } = request.query as { return_to?: unknown }
    const target = returnUrl(requested, origin, Object.values(paths))
    const transaction = transactions.start(target, request, reply)
    return reply.redirect(await issuer.authorizationUrl(transaction), 302)
  })

  app.get(paths.callback, options, async (request, reply) => {
    const parameters = new URL(request.url, origin).searchParams
    const transaction = transactions.consume(parameters.get('state') ?? '', request, reply)
    if (transaction === undefined) throw new BrowserSessionError('SIGN_IN_UNKNOWN')
    const tokens = await issuer.exchange(parameters, transaction)
    try {
      await settings.onSignedIn?.({ claims: tokens.claims, request })
      // The session gets a new id, so that an attacker cannot have planted it before (session fixation).
      await sessions.create(newSession(tokens, clock(), settings.lifetimes), request, reply)
    } catch (error) {
      await revoke(tokens.refreshToken, request)
      throw error
    }
    const previous = sessionOf(request)
    if (previous !== undefined) await endPrevious(previous, tokens.claims.sub, request)
    return settings.sameSite === 'Strict'
      ? reply.type('text/html').send(redirectPage(transaction.returnTo))
      : reply.redirect(transaction.returnTo, 302)
  })

  app.get(paths.session, options, async (request) => {
    const session = request.browserSession
    const refusal = refusalOf(request)
    // While the issuer cannot confirm the session, a page must not treat the user as signed out.
    if (refusal !== undefined && !hasCode(refusal, 'SESSION_ENDED')) throw refusal
    return session === null
      ? { signedIn: false }
      : { signedIn: true, claims: settings.pageClaims(session.claims) }
  })

  async function endAndRevoke(session: Session, request: FastifyRequest): Promise<Session> {
    const latest = (await tokenRefresh.latestAfterRefresh(session)) ?? session
    await sessions.end(latest)
    await revoke(latest.refreshToken, request)
    return latest
  }

  /**
   * Many issuers have one grant for a user at a client, so revoking the refresh token of the previous session would end
   * the new session of the same user.
   */
  async function endPrevious(previous: Session, subject: string, request: FastifyRequest): Promise<void> {
    if (previous.claims.sub === subject) await sessions.end(previous)
    else await endAndRevoke(previous, request)
  }

  app.post(paths.logout, options, async (request, reply) => {
    if (!passesCsrfCheck(request, origin, settings.csrfHeader)) throw new BrowserSessionError('CSRF')
    const session = sessionOf(request)
    sessions.clearCookies(request, reply)
    if (session === undefined) return { signedIn: false, next: settings.afterLogout }
    const { idToken } = await endAndRevoke(session, request)
    const encrypted = encryption.encrypt('logout', '', { at: clock(), idToken })
    const fits = encrypted.length <= MAX_HINT_LENGTH
    const value = fits ? encrypted : encryption.encrypt('logout', '', { at: clock() })
    cookies.set(reply, logoutCookie, value, { maxAge: LOGOUT_SECONDS })
    // The page navigates to `next`. The ID token is only in the cookie, so that the page does not see it.
    return { signedIn: false, next: paths.logout }
  })

  app.get(paths.logout, options, async (request, reply) => {
    const encrypted = readCookies(request).get(logoutCookie)
    const logout = encrypted && (encryption.decrypt('logout', '', encrypted) as Logout | undefined)
    if (encrypted !== undefined) cookies.clear(reply, logoutCookie)
    const isFresh = logout && clock() < logout.at + LOGOUT_SECONDS
    const target = isFresh ? await issuer.logoutUrl(logout.idToken).catch(() => undefined) : undefined
    return reply.redirect(target ?? origin + settings.afterLogout, 302)
  })
}

/** These responses must not be cached, framed or read by other origins, and must not show up in a `Referer`. */
async function setSecurityHeaders(_: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.headers({
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  })
}

/**
 * After a redirect from another site, the browser would not send a Strict cookie. It sends one when this page redirects,
 * because the page belongs to this site.
 */
function redirectPage(target: string): string {
  const escaped = target.replace(/[&"<>]/g, (one) => `&#${one.charCodeAt(0)};`)
  return `<!doctype html><meta http-equiv="refresh" content="0;url=${escaped}"><title>Signed in</title>`
}
