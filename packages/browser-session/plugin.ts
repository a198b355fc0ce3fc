/** The Fastify plugin: it loads the session of each request, and adds a guard for routes and the four endpoints. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { cookieSessions } from './cookie-sessions.ts'
import { createCookies } from './cookies.ts'
import { passesCsrfCheck } from './csrf.ts'
import { createEncryption } from './encryption.ts'
import { BrowserSessionError } from './errors.ts'
import { type Guard, sessionGuard } from './guard.ts'
import { createOpenIdClient } from './openid-client.ts'
import { type BrowserSessionOptions, resolveOptions } from './options.ts'
import { type BrowserSession, requestSession } from './request-session.ts'
import { addRoutes } from './routes.ts'
import type { Session } from './session.ts'
import { memoryStore } from './session-store.ts'
import { createSignInTransactions } from './sign-in-transactions.ts'
import { storedSessions } from './stored-sessions.ts'
import { createTokenRefresh } from './token-refresh.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * The session of the signed-in user; null if no one is signed in, the request may be forged, or the access token has
     * expired and the issuer did not refresh it.
     */
    browserSession: BrowserSession | null
  }
  interface FastifyInstance {
    /**
     * Makes a hook that requires a session. Without one, a page is redirected to the sign-in and a script gets a 401; a
     * forged request gets a 403; and a 503 says that the issuer cannot confirm an expired session.
     */
    requireSession(): Guard
  }
}

/**
 * Signs users in with an OpenID provider and keeps their tokens on the server, as a backend for the frontend
 * (draft-ietf-oauth-browser-based-apps §6.1). Adds `request.browserSession`, `app.requireSession()` and four endpoints.
 * @throws {TypeError} if an option is unusable or unsafe
 */
export async function browserSession(app: FastifyInstance, options: BrowserSessionOptions): Promise<void> {
  const settings = resolveOptions(options)
  const { clock, lifetimes, origin, csrfHeader, store = memoryStore({ clock }) } = settings
  const cookies = createCookies(settings.cookieName, settings.secure, settings.sameSite)
  const encryption = createEncryption(settings.secrets, JSON.stringify([settings.issuer, settings.clientId]))
  const issuer = createOpenIdClient(settings)
  const sessions =
    store === 'cookie'
      ? cookieSessions({ encryption, cookies, clock, lifetimes })
      : storedSessions({ store, encryption, cookies, clock, lifetimes })
  const tokenRefresh = createTokenRefresh({ sessions, issuer, clock, lifetimes })
  const loaded = new WeakMap<FastifyRequest, Session>()
  const refusals = new WeakMap<FastifyRequest, BrowserSessionError>()
  const { login, callback, logout } = settings.paths
  /** These routes begin or end a session, and must not depend on a refresh of the current session. */
  const withoutRefresh = new Set<string | undefined>([login, callback, logout])

  /** @throws {BrowserSessionError} if the request must not use its session */
  async function usableSession(session: Session, request: FastifyRequest, reply: FastifyReply) {
    if (!passesCsrfCheck(request, origin, csrfHeader)) throw new BrowserSessionError('CSRF')
    const current = requestSession({ sessions, tokenRefresh, clock }, session, request, reply)
    // A copied cookie still decrypts after a logout in another process, and the issuer may have ended the session. So a
    // session is valid only as long as its access token; after that, the issuer must confirm it with a refresh.
    if (clock() >= session.expiresAt && !withoutRefresh.has(request.routeOptions.url)) {
      await current.accessToken()
    }
    return current
  }

  app.decorateRequest('browserSession', null)
  app.decorate('requireSession', () => sessionGuard(login, (request) => refusals.get(request)))

  app.addHook('onRequest', async (request, reply) => {
    const session = await sessions.load(request, reply)
    if (session === undefined) return
    loaded.set(request, session)
    try {
      request.browserSession = await usableSession(session, request, reply)
    } catch (error) {
      // Routes without the guard are open to everyone, so they get the request, but without a session.
      if (!(error instanceof BrowserSessionError)) throw error
      refusals.set(request, error)
    }
  })

  app.addHook('onSend', async (_: FastifyRequest, reply: FastifyReply) => {
    // A cache that stored a session cookie would give one user's session to another.
    if (reply.hasHeader('set-cookie')) reply.header('cache-control', 'no-store')
  })

  addRoutes(app, {
    settings,
    issuer,
    sessions,
    tokenRefresh,
    transactions: createSignInTransactions(encryption, cookies, clock),
    cookies,
    encryption,
    sessionOf: (request) => loaded.get(request),
    refusalOf: (request) => refusals.get(request),
  })
}

// Fastify's mark for a plugin that decorates the app that registers it, and not only its own scope.
Object.assign(browserSession, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@keyturn/browser-session',
})
