/** Sign-in, callback, session and logout. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Cookies, readCookies } from './cookies.ts'
import { isOurs } from './csrf.ts'
import type { Sealer } from './encryption.ts'
import { BrowserSessionError } from './errors.ts'
import type { Issuer } from './openid-client.ts'
import type { Settings } from './options.ts'
import { returnTo } from './return-to.ts'
import { beginSession, type Session, type SessionKeeper } from './session.ts'
import type { Transactions } from './sign-in-transactions.ts'
import type { Renewal } from './token-refresh.ts'

export interface Parts {
  readonly settings: Settings
  readonly issuer: Issuer
  readonly keeper: SessionKeeper
  readonly renewal: Renewal
  readonly transactions: Transactions
  readonly cookies: Cookies
  readonly sealer: Sealer
  /** The session behind the request, whether or not a handler may see it. */
  loaded(request: FastifyRequest): Session | undefined
}

/** From the logout to the issuer's page: as long as a browser takes to follow. */
const LOGOUT_SECONDS = 60
/** An ID token longer than this goes without: the issuer then asks the user. */
const LONGEST_HINT = 3800

export function routes(app: FastifyInstance, parts: Parts): void {
  const { settings, issuer, keeper, renewal, transactions, cookies, sealer, loaded } = parts
  const { origin, paths, clock } = settings
  const logoutCookie = cookies.name('.logout')
  const options = { exposeHeadRoute: false, logLevel: 'warn', onRequest: closed } as const

  /** What cannot be undone by throwing, and whose failure must not keep anybody from leaving. */
  async function revoke(refreshToken: string | undefined, request: FastifyRequest): Promise<void> {
    if (refreshToken === undefined) return
    await issuer.revoke(refreshToken).catch((error) => {
      request.log.warn({ code: error?.code }, 'a refresh token could not be revoked')
    })
  }

  app.get(paths.login, options, async (request, reply) => {
    const { return_to: asked } = request.query as { return_to?: unknown }
    const target = returnTo(asked, origin, Object.values(paths))
    const transaction = transactions.begin(target, request, reply)
    return reply.redirect(await issuer.authorizationUrl(transaction), 302)
  })

  app.get(paths.callback, options, async (request, reply) => {
    const parameters = new URL(request.url, origin).searchParams
    const transaction = transactions.take(parameters.get('state') ?? '', request, reply)
    if (transaction === undefined) throw new BrowserSessionError('SIGN_IN_UNKNOWN')
    const tokens = await issuer.exchange(parameters, transaction)
    try {
      await settings.onSignedIn?.({ claims: tokens.claims, request })
      // A new id, whatever the browser came with: nobody can have planted it (session fixation).
      await keeper.begin(beginSession(tokens, clock(), settings.lifetimes), request, reply)
    } catch (error) {
      await revoke(tokens.refreshToken, request)
      throw error
    }
    const old = loaded(request)
    if (old !== undefined) await replaced(old, tokens.claims.sub, request)
    return settings.sameSite === 'Strict'
      ? reply.type('text/html').send(stepPage(transaction.returnTo))
      : reply.redirect(transaction.returnTo, 302)
  })

  app.get(paths.session, options, async (request) => {
    const session = request.browserSession
    return session === null
      ? { signedIn: false }
      : { signedIn: true, claims: settings.pageClaims(session.claims) }
  })

  async function leave(session: Session, request: FastifyRequest): Promise<Session> {
    const newest = (await renewal.settled(session)) ?? session
    await keeper.end(newest)
    await revoke(newest.refreshToken, request)
    return newest
  }

  /** Many issuers have one grant for a user and a client; revoking the old session's token would end the new one. */
  async function replaced(old: Session, subject: string, request: FastifyRequest): Promise<void> {
    if (old.claims.sub === subject) await keeper.end(old)
    else await leave(old, request)
  }

  app.post(paths.logout, options, async (request, reply) => {
    if (!isOurs(request, origin, settings.csrfHeader)) throw new BrowserSessionError('CSRF')
    const session = loaded(request)
    keeper.clear(request, reply)
    if (session === undefined) return { signedIn: false, next: settings.afterLogout }
    const { idToken } = await leave(session, request)
    const sealed = sealer.seal('logout', '', { at: clock(), idToken })
    const fits = sealed.length <= LONGEST_HINT
    const value = fits ? sealed : sealer.seal('logout', '', { at: clock() })
    cookies.set(reply, logoutCookie, value, { maxAge: LOGOUT_SECONDS })
    // The page goes there itself; the hint is an ID token, so it travels in a cookie and not through the page.
    return { signedIn: false, next: paths.logout }
  })

  app.get(paths.logout, options, async (request, reply) => {
    const sealed = readCookies(request).get(logoutCookie)
    const hint = sealed && (sealer.open('logout', '', sealed) as { at: number; idToken?: string } | undefined)
    if (sealed !== undefined) cookies.clear(reply, logoutCookie)
    const fresh = hint && clock() < hint.at + LOGOUT_SECONDS
    const target = fresh ? await issuer.logoutUrl(hint.idToken).catch(() => undefined) : undefined
    return reply.redirect(target ?? origin + settings.afterLogout, 302)
  })
}

/** Nothing of this is for a cache, a frame, another origin, or the next page's `Referer`. */
async function closed(_: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.headers({
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  })
}

/** After a redirect from another site, a browser would withhold a Strict cookie once more; a page of our own ends that. */
function stepPage(target: string): string {
  const escaped = target.replace(/[&"<>]/g, (one) => `&#${one.charCodeAt(0)};`)
  return `<!doctype html><meta http-equiv="refresh" content="0;url=${escaped}"><title>Signed in</title>`
}
