/** The Fastify plugin: sessions on every request, a guard for routes, and the four endpoints. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { inCookies } from './cookie-sessions.ts'
import { cookies as cookiesOf } from './cookies.ts'
import { isOurs } from './csrf.ts'
import { sealer as sealerOf } from './encryption.ts'
import { type Guard, guard } from './guard.ts'
import { issuerOf } from './openid-client.ts'
import { type BrowserSessionOptions, settle } from './options.ts'
import { type BrowserSession, browserSession as sessionOf } from './request-session.ts'
import { routes } from './routes.ts'
import type { Session } from './session.ts'
import { memoryStore } from './session-store.ts'
import { transactions } from './sign-in-transactions.ts'
import { inStore } from './stored-sessions.ts'
import { renewal as renewalOf } from './token-refresh.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is signed in; null if nobody is, or the request may be forged. */
    browserSession: BrowserSession | null
  }
  interface FastifyInstance {
    /** A hook that lets only signed-in browsers pass: others get a 401, or, if they look at a page, the sign-in. */
    requireSession(): Guard
  }
}

/** Signs browsers in with an OpenID provider and keeps their tokens on this side (a backend for the frontend). */
export async function browserSession(app: FastifyInstance, options: BrowserSessionOptions): Promise<void> {
  const settings = settle(options)
  const { clock, lifetimes, origin, csrfHeader, store = memoryStore({ clock }) } = settings
  const cookies = cookiesOf(settings.cookieName, settings.secure, settings.sameSite)
  const sealer = sealerOf(settings.secrets, JSON.stringify([settings.issuer, settings.clientId]))
  const issuer = issuerOf(settings)
  const keeper =
    store === 'cookie'
      ? inCookies({ sealer, cookies, clock, lifetimes })
      : inStore({ store, sealer, cookies, clock, lifetimes })
  const renewal = renewalOf({ keeper, issuer, clock, lifetimes })
  const sessions = new WeakMap<FastifyRequest, Session>()
  const ours = (request: FastifyRequest) => isOurs(request, origin, csrfHeader)

  app.decorateRequest('browserSession', null)
  app.decorate('requireSession', () =>
    guard(settings.paths.login, (request) => sessions.has(request) && !ours(request)),
  )

  app.addHook('onRequest', async (request, reply) => {
    const session = await keeper.load(request, reply)
    if (session === undefined) return
    sessions.set(request, session)
    // A forged request is nobody's, on guarded routes and on those that only look who it is.
    if (ours(request)) {
      request.browserSession = sessionOf({ keeper, renewal, clock }, session, request, reply)
    }
  })

  app.addHook('onSend', async (_: FastifyRequest, reply: FastifyReply) => {
    // A cache that keeps a cookie of ours gives one person's session to another.
    if (reply.hasHeader('set-cookie')) reply.header('cache-control', 'no-store')
  })

  routes(app, {
    settings,
    issuer,
    keeper,
    renewal,
    transactions: transactions(sealer, cookies, clock),
    cookies,
    sealer,
    loaded: (request) => sessions.get(request),
  })
}

// Fastify's own mark for a plugin whose decorators and hooks are meant for the app that registers it.
Object.assign(browserSession, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@keyturn/browser-session',
})
