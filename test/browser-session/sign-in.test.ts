/** The backend for the frontend with a real OpenID provider (draft-ietf-oauth-browser-based-apps §6.1). */
import t from 'tap'
import { memoryStore } from '../../packages/browser-session/index.ts'
import {
  APP,
  openidWorld,
  SAME_ORIGIN_HEADERS,
  secret,
  TOKEN_SECONDS,
} from '../support/issuers/oidc-provider.ts'

const logout = { method: 'POST', headers: SAME_ORIGIN_HEADERS }

for (const [variant, store] of [
  ['memory', undefined],
  ['cookie', 'cookie'],
] as const) {
  const kind = store === undefined ? {} : { store }

  t.test(
    `${variant}: a user signs in at the issuer and returns to the page where the sign-in started`,
    async (t) => {
      const { app, browser, issuer } = await openidWorld(t)
      await app(kind)
      const alice = browser()
      t.same((await alice.request(`${APP}/auth/session`)).json(), { signedIn: false })
      const page = await alice.visit(`${APP}/page?a=1%202`)
      t.equal(page.status, 200, page.body)
      t.equal(page.url, `${APP}/page?a=1%202`)
      t.equal(page.body, 'page')
      t.equal((await alice.request(`${APP}/who`)).body, 'alice')
      t.same((await alice.request(`${APP}/token`)).json(), { nth: 0 })
      t.same((await alice.request(`${APP}/auth/session`)).json(), {
        signedIn: true,
        claims: { sub: 'alice', name: 'alice <b>' },
      })
      t.equal(issuer.refreshes.length, 0)
    },
  )

  t.test(
    `${variant}: an access token is refreshed before it expires, each time with the newest refresh token`,
    async (t) => {
      const { app, signedIn, issuer, time } = await openidWorld(t)
      await app(kind)
      const alice = await signedIn()
      for (let nth = 1; nth <= 4; nth += 1) {
        time.tick(TOKEN_SECONDS - 31)
        t.same((await alice.request(`${APP}/token`)).json(), { nth: nth - 1 }, 'not before')
        time.tick(2)
        t.same((await alice.request(`${APP}/token`)).json(), { nth })
        t.same((await alice.request(`${APP}/token`)).json(), { nth })
        t.equal(issuer.refreshes[nth - 1]?.get('refresh_token'), issuer.answers[nth - 1]?.refresh_token)
      }
      t.equal(issuer.refreshes.length, 4)
      t.equal((await alice.request(`${APP}/who`)).body, 'alice')
    },
  )

  t.test(
    `${variant}: logout ends the session at the app and at the issuer (RP-Initiated Logout §2, RFC 7009)`,
    async (t) => {
      const { app, signedIn, issuer, time, copyOf } = await openidWorld(t)
      await app(kind)
      const alice = await signedIn()
      time.tick(TOKEN_SECONDS)
      await alice.request(`${APP}/token`)
      const copy = copyOf(alice)
      const answer = await alice.request(`${APP}/auth/logout`, logout)
      t.same(answer.json(), { signedIn: false, next: '/auth/logout' })
      t.equal(
        issuer.revocations[0]?.get('token'),
        issuer.answers[1]?.refresh_token,
        'the newest refresh token',
      )
      t.same([...alice.cookies(APP).keys()], ['__Host-session.logout'])
      t.equal((await alice.request(`${APP}/who`)).body, 'nobody')
      t.equal((await copy.request(`${APP}/who`)).body, 'nobody', 'nor with copied cookies')

      const away = await alice.request(`${APP}/auth/logout`)
      const target = new URL(away.location ?? '')
      t.equal(target.origin, issuer.origin)
      t.equal(target.searchParams.get('id_token_hint'), issuer.answers[1]?.id_token)
      t.equal(target.searchParams.get('post_logout_redirect_uri'), `${APP}/`)
      t.equal((await alice.request(target.href)).status, 200, 'the issuer accepts it')
      t.same([...alice.cookies(APP).keys()], [])
      t.equal((await alice.request(`${APP}/auth/logout`)).location, `${APP}/`, 'once')
      t.same((await alice.request(`${APP}/auth/logout`, logout)).json(), { signedIn: false, next: '/' })
    },
  )

  t.test(`${variant}: logout works while the issuer is down`, async (t) => {
    const { app, signedIn, issuer } = await openidWorld(t)
    await app(kind)
    const alice = await signedIn()
    for (const path of ['/token/revocation', '/.well-known/openid-configuration']) {
      issuer.routes.set(path, (request) => request.destroy())
    }
    t.equal((await alice.request(`${APP}/auth/logout`, logout)).status, 200)
    t.equal((await alice.request(`${APP}/who`)).body, 'nobody')
  })

  t.test(`${variant}: a session ends when it is idle, and after its absolute lifetime`, async (t) => {
    const { app, signedIn, time } = await openidWorld(t)
    await app({ ...kind, idleSeconds: 1000, absoluteSeconds: 5000 })
    const who = async (browser: { request(url: string): Promise<{ body: string }> }) =>
      (await browser.request(`${APP}/who`)).body
    const idle = await signedIn()
    time.tick(999)
    t.equal(await who(idle), 'alice')
    time.tick(999)
    t.equal(await who(idle), 'alice', 'each use extends the session')
    time.tick(1000)
    t.equal(await who(idle), 'nobody')
    t.same((await idle.request(`${APP}/auth/session`)).json(), { signedIn: false })

    const busy = await signedIn()
    for (let i = 0; i < 9; i += 1) {
      time.tick(500)
      t.equal(await who(busy), 'alice')
    }
    time.tick(500)
    t.equal(await who(busy), 'nobody')
  })

  t.test(`${variant}: a session that the issuer ended ends at the app`, async (t) => {
    const { app, signedIn, issuer, time } = await openidWorld(t)
    await app(kind)
    const alice = await signedIn()
    issuer.routes.set('/token', (_, response) => {
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}')
    })
    time.tick(TOKEN_SECONDS)
    const refused = await alice.request(`${APP}/token`)
    t.equal(refused.status, 401)
    t.equal(refused.json().code, 'SESSION_ENDED')
    t.same([...alice.cookies(APP).keys()], [])
    t.equal((await alice.request(`${APP}/token`)).status, 401)
    issuer.routes.delete('/token')
    t.equal((await alice.visit(`${APP}/page`)).status, 200, 'and the sign-in starts again')
  })

  t.test(
    `${variant}: while the issuer is down, a valid token stays in use, then the response is 503, and afterwards all works again`,
    async (t) => {
      const { app, signedIn, issuer, time } = await openidWorld(t)
      await app(kind)
      const alice = await signedIn()
      let requestCount = 0
      issuer.routes.set('/token', (_, response) => {
        requestCount += 1
        response.writeHead(503).end()
      })
      time.tick(TOKEN_SECONDS - 20)
      for (let i = 0; i < 3; i += 1) t.same((await alice.request(`${APP}/token`)).json(), { nth: 0 })
      t.equal(requestCount, 1, 'not fetched on each request')
      time.tick(20)
      const refused = await alice.request(`${APP}/token`)
      t.equal(refused.status, 503)
      t.equal(refused.json().code, 'ISSUER_UNAVAILABLE')
      issuer.routes.delete('/token')
      time.tick(5)
      t.same((await alice.request(`${APP}/token`)).json(), { nth: 1 })
    },
  )

  t.test(`${variant}: a rotation of the secret signs no user out`, async (t) => {
    const { app, signedIn, time, copyOf } = await openidWorld(t)
    const shared = store ?? memoryStore({ clock: time.clocks.clock })
    const old = await app({ store: shared, secret: secret(1) })
    const both = await app({ store: shared, secret: [secret(2), secret(1).toString('base64url')] })
    const next = await app({ store: shared, secret: [secret(2)] })
    const alice = await signedIn(old)
    const later = copyOf(alice, both)
    t.equal((await later.request(`${APP}/who`)).body, 'alice')
    t.equal((await copyOf(alice, next).request(`${APP}/who`)).body, 'nobody', 'the old secret was removed')
    const bob = await signedIn(both)
    t.equal((await copyOf(bob, next).request(`${APP}/who`)).body, 'alice', 'the new secret encrypts')
    t.equal((await copyOf(bob, old).request(`${APP}/who`)).body, 'nobody')
  })
}

t.test('several tabs sign in at once, and each returns to its own page', async (t) => {
  const { app, browser } = await openidWorld(t)
  await app()
  const alice = browser()
  const atCallback = (url: string) => url.startsWith(`${APP}/auth/callback`)
  const tabs: (string | undefined)[] = []
  for (const page of ['/page?tab=1', '/page?tab=2', '/page?tab=3']) {
    tabs.push((await alice.visit(APP + page, atCallback)).location)
  }
  for (const index of [1, 0, 2]) {
    t.equal((await alice.visit(tabs[index] ?? '')).url, `${APP}/page?tab=${index + 1}`)
  }
  t.same([...alice.cookies(APP).keys()], ['__Host-session'], 'no cookies of the sign-ins remain')
})

t.test(
  'after a second sign-in the session can be refreshed, although the issuer has one grant for both sign-ins',
  async (t) => {
    const { app, signedIn, issuer, time } = await openidWorld(t)
    await app()
    const alice = await signedIn()
    await alice.visit(`${APP}/auth/login`)
    time.tick(TOKEN_SECONDS)
    t.same((await alice.request(`${APP}/token`)).json(), { nth: 2 })
    t.equal(issuer.refreshes[0]?.get('refresh_token'), issuer.answers[1]?.refresh_token)
  },
)

t.test('apps on two ports of one host do not share cookies (RFC 6265 §8.5)', async (t) => {
  const { app } = await openidWorld(t)
  const names = new Set<string>()
  for (const [baseUrl, expected] of [
    ['https://app.example', '__Host-session.'],
    ['https://app.example:8443', '__Host-session-8443.'],
    ['http://localhost', 'session.'],
    ['http://localhost:3000', 'session-3000.'],
    ['http://localhost:3001', 'session-3001.'],
  ] as const) {
    const address = await app({ baseUrl })
    const answer = await fetch(`${address}/auth/login`, { redirect: 'manual' })
    const [name = ''] = answer.headers.getSetCookie().map((line) => line.split('=', 1)[0] ?? '')
    t.ok(name.startsWith(expected), `${name} for ${baseUrl}`)
    names.add(name.slice(0, expected.length))
  }
  t.equal(names.size, 5)
})

t.test('abandoned sign-ins leave a bounded number of cookies', async (t) => {
  const { app, browser } = await openidWorld(t)
  await app()
  const alice = browser()
  for (let i = 0; i < 12; i += 1) await alice.request(`${APP}/auth/login`)
  t.equal(alice.cookies(APP).size, 5)
})

t.test(
  'a user whom onSignedIn refuses gets no session, and the tokens of a public client are revoked',
  async (t) => {
    const { app, browser, issuer } = await openidWorld(t, { publicClient: true })
    await app({
      onSignedIn({ claims }) {
        if (claims.sub === 'mallory') throw Object.assign(new Error('not a member'), { statusCode: 403 })
      },
    })
    issuer.account = 'mallory'
    const mallory = browser()
    t.equal((await mallory.visit(`${APP}/auth/login`)).status, 403)
    t.same([...mallory.cookies(APP).keys()], [])
    t.equal(issuer.revocations[0]?.get('token'), issuer.answers[0]?.refresh_token)
    issuer.account = 'alice'
    t.equal((await mallory.visit(`${APP}/page`)).status, 200)
  },
)

t.test('pageClaims decides which claims a page sees', async (t) => {
  const { app, signedIn } = await openidWorld(t)
  await app({ pageClaims: ({ sub }) => ({ id: sub }) })
  const alice = await signedIn()
  t.same((await alice.request(`${APP}/auth/session`)).json(), { signedIn: true, claims: { id: 'alice' } })
})
