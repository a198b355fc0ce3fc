/** @keyturn/browser-session with Keyturn as the issuer: pages, refresh tokens, and logout at the app and at Keyturn. */
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { type BrowserSessionOptions, browserSession } from '../../packages/browser-session/index.ts'
import { cookieNames } from '../../src/http/cookies.ts'
import type { Browser } from '../support/browser/browser.ts'
import { type JarBrowser, jarBrowser } from '../support/browser/cookie-browser.ts'
import { codeClient, completePages } from '../support/browser/sign-in.ts'
import { openidServer, PROFILE } from '../support/issuers/keyturn.ts'
import { APP, SAME_ORIGIN_HEADERS, secret } from '../support/issuers/oidc-provider.ts'
import { SECRET } from '../support/server/seed.ts'

/** Less than the library's tolerance for clocks, because only the clocks of the server and the app are ticked. */
const TOKEN_SECONDS = 8

const { server, issuer, alice, browser } = await openidServer(t)
await server.store.clients.insert(
  codeClient({
    id: 'bff',
    redirectUris: [`${APP}/auth/callback`],
    postLogoutRedirectUris: [`${APP}/`],
    accessTokenTtl: TOKEN_SECONDS,
  }),
)
await server.poll()

async function app(t: Test, options: Partial<BrowserSessionOptions>): Promise<string> {
  const app = Fastify({ forceCloseConnections: true })
  await app.register(browserSession, {
    issuer,
    clientId: 'bff',
    clientSecret: SECRET,
    secret: secret(1),
    baseUrl: APP,
    scopes: ['profile', 'email'],
    refreshAhead: 0,
    clock: () => server.clock.now(),
    ...options,
  })
  app.get('/', async () => 'start')
  app.get('/me', { onRequest: app.requireSession() }, async (request) => {
    const authorization = `Bearer ${await request.browserSession?.accessToken()}`
    const answer = await fetch(`${issuer}/oauth2/userinfo`, { headers: { authorization } })
    return { status: answer.status, token: authorization, ...((await answer.json()) as object) }
  })
  // These do not ask for the access token.
  app.get('/orders', { onRequest: app.requireSession() }, async () => 'read')
  app.post('/orders', { onRequest: app.requireSession() }, async () => 'written')
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

const tabOf = (process: string) => jarBrowser(new Map([[APP, process]]))

/** One browser with two cookie jars: one for the app and one for the server. */
async function signIn(tab: JarBrowser, at: Browser, path = '/me') {
  const leaving = await tab.visit(`${APP}/auth/login?return_to=${path}`, (url) => url.startsWith(issuer))
  const { away, status, body } = await completePages(at, await at.open(String(leaving.location)))
  if (!away) throw new Error(`the browser was not sent back: ${status} ${body}`)
  return tab.visit(away.url)
}

function copyOf(tab: JarBrowser, process: string): JarBrowser {
  const copy = tabOf(process)
  for (const { name, value } of tab.cookies(APP).values()) copy.setCookie(APP, name, value)
  return copy
}

for (const kind of [{}, { store: 'cookie' }] as const) {
  const variant = 'store' in kind ? kind.store : 'memory'

  t.test(
    `${variant}: a user signs in at Keyturn's pages, and the app calls userinfo with the token`,
    async (t) => {
      const tab = tabOf(await app(t, kind))
      const page = await signIn(tab, browser())
      t.equal(page.url, `${APP}/me`, 'back where it began')
      t.match(page.json(), { status: 200, sub: alice.id, name: PROFILE.name, email: PROFILE.email })
      const { claims } = (await tab.visit(`${APP}/auth/session`)).json() as { claims: { sub: string } }
      t.match(claims, { sub: alice.id, name: PROFILE.name, email: PROFILE.email })
      t.notOk('nonce' in claims, 'pages do not see the claims of the protocol')
    },
  )

  t.test(
    `${variant}: processes and tabs that refresh at once all stay signed in (REFRESH_GRACE, RFC 9700 §4.14.2; docs/security.md F69)`,
    async (t) => {
      const [one, two] = [await app(t, kind), await app(t, kind)]
      const tab = tabOf(one)
      server.clock.tick(1)
      const start = server.clock.now()
      const first = (await signIn(tab, browser())).json().token
      for (let round = 1; round <= 2; round += 1) {
        server.clock.tick(TOKEN_SECONDS)
        const tabs = [...Array.from({ length: 10 }, () => tab)]
        // Each process has a memory of its own.
        if (variant === 'cookie') tabs.push(copyOf(tab, two), copyOf(tab, two))
        const answers = await Promise.all(tabs.map((each) => each.request(`${APP}/me`)))
        t.same(new Set(answers.map(({ status }) => status)), new Set([200]))
        for (const answer of answers) t.match(answer.json(), { status: 200, sub: alice.id })
        t.not(answers[0]?.json().token, first, 'the token was refreshed')
      }
      const sessions = await server.store.clientSessions.list({ clientId: 'bff' }, 100)
      const newest = sessions.find(({ createdAt }) => createdAt === start)
      t.match(newest, { generation: 3, revokedAt: null }, 'one refresh in each round')
    },
  )

  t.test(
    `${variant}: a logout passes through the issuer without asking the user (RP-Initiated Logout §2, §3; docs/security.md N145, N147)`,
    async (t) => {
      const tab = tabOf(await app(t, kind))
      const at = browser()
      await signIn(tab, at)
      const { next } = (
        await tab.request(`${APP}/auth/logout`, { method: 'POST', headers: SAME_ORIGIN_HEADERS })
      ).json() as {
        next: string
      }
      const leaving = await tab.visit(`${APP}${next}`, (url) => url.startsWith(issuer))
      const out = await at.open(String(leaving.location))
      t.equal(out.away?.url, `${APP}/`, 'and comes back to the app')
      t.equal((await tab.visit(`${APP}/me`, (url) => url.startsWith(issuer))).status, 302)
      const again = await tab.visit(`${APP}/auth/login`, (url) => url.startsWith(issuer))
      t.equal((await at.open(String(again.location))).path, '/login', 'signed out at the issuer, too')
    },
  )

  t.test(
    `${variant}: a user who signs out at the issuer is signed out of the app at the next refresh (Back-Channel Logout §2.7; docs/security.md N150)`,
    async (t) => {
      const tab = tabOf(await app(t, kind))
      const at = browser()
      await signIn(tab, at)
      const { userSessions: signIns } = server.deps.accounts
      const current = await signIns.current(at.cookies().get(cookieNames(issuer).session))
      if (current) await signIns.end(current.userSession, 'signed out elsewhere', 'test')
      server.clock.tick(TOKEN_SECONDS)
      const refused = await tab.request(`${APP}/me`)
      t.match({ status: refused.status, code: refused.json().code }, { status: 401, code: 'SESSION_ENDED' })
    },
  )
}

for (const where of ['the app', 'Keyturn'] as const) {
  t.test(
    `cookie: a cookie that was copied before a logout at ${where} is over in every process within the access token’s life (draft-ietf-oauth-browser-based-apps §6.1; docs/security.md T1)`,
    async (t) => {
      const [one, two] = [await app(t, { store: 'cookie' }), await app(t, { store: 'cookie' })]
      const tab = tabOf(one)
      const at = browser()
      await signIn(tab, at)
      const copy = copyOf(tab, two)
      const write = { method: 'POST', headers: SAME_ORIGIN_HEADERS }
      if (where === 'the app') await tab.request(`${APP}/auth/logout`, write)
      else {
        const { userSessions } = server.deps.accounts
        const current = await userSessions.current(at.cookies().get(cookieNames(issuer).session))
        if (current) await userSessions.end(current.userSession, 'signed out elsewhere', 'test')
      }
      server.clock.tick(TOKEN_SECONDS)
      t.equal((await copyOf(copy, two).request(`${APP}/orders`)).status, 401)
      t.equal((await copyOf(copy, two).request(`${APP}/orders`, write)).status, 401)
      t.same((await copyOf(copy, two).request(`${APP}/auth/session`)).json(), { signedIn: false })
    },
  )
}
