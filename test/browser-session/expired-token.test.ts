/** A session counts for as long as its access token; at that time the issuer must confirm it by a refresh. */
import t from 'tap'
import type { JarBrowser } from '../support/browser/cookie-browser.ts'
import {
  APP,
  type OpenidIssuer,
  openidWorld,
  SAME_ORIGIN_HEADERS,
  TOKEN_SECONDS,
} from '../support/issuers/oidc-provider.ts'

const NAVIGATION = { headers: { 'sec-fetch-mode': 'navigate' } }
const who = async (browser: JarBrowser) => (await browser.request(`${APP}/who`)).body
const signedIn = async (browser: JarBrowser) => (await browser.request(`${APP}/auth/session`)).json().signedIn
const page = async (browser: JarBrowser) => (await browser.request(`${APP}/page`)).status

function refuseRefreshes(issuer: OpenidIssuer): void {
  issuer.routes.set('/token', (_, response) => {
    response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}')
  })
}

for (const store of [undefined, 'cookie'] as const) {
  const variant = store ?? 'memory'
  const kind = store === undefined ? {} : { store }

  t.test(
    `${variant}: an expired session is refreshed once, even if no handler asks for the access token (docs/security.md T1)`,
    async (t) => {
      const { app, signedIn: browserOf, issuer, time } = await openidWorld(t)
      await app(kind)
      const alice = await browserOf()
      time.tick(TOKEN_SECONDS - 1)
      t.same([await page(alice), await who(alice), await signedIn(alice)], [200, 'alice', true])
      t.equal(issuer.refreshes.length, 0)
      time.tick(1)
      const pages = await Promise.all(Array.from({ length: 10 }, () => page(alice)))
      t.same(new Set(pages), new Set([200]))
      t.same([await who(alice), await signedIn(alice)], ['alice', true])
      t.equal(issuer.refreshes.length, 1)
      t.same((await alice.request(`${APP}/token`)).json(), { nth: 1 }, 'the token of that refresh')
    },
  )

  t.test(
    `${variant}: a session that the issuer ended is over everywhere once the access token expires (docs/security.md T1)`,
    async (t) => {
      const { app, signedIn: browserOf, issuer, time, copyOf } = await openidWorld(t)
      await app(kind)
      const alice = await browserOf()
      refuseRefreshes(issuer)
      t.equal(await page(alice), 200, 'as long as the access token')
      time.tick(TOKEN_SECONDS)
      const at = (path: string, options = {}) => copyOf(alice).request(APP + path, options)
      const navigated = await at('/page', NAVIGATION)
      t.match(navigated, { status: 302, location: /^https:\/\/app\.example\/auth\/login\?|^\/auth\/login\?/ })
      t.match(`${navigated.headers['set-cookie']}`, /Max-Age=0/, 'the browser drops its cookie')
      t.equal((await at('/page')).status, 401)
      t.equal((await at('/who')).body, 'nobody')
      t.equal((await at('/who', { method: 'POST', headers: SAME_ORIGIN_HEADERS })).body, 'nobody')
      t.same((await at('/auth/session')).json(), { signedIn: false })
    },
  )

  t.test(
    `${variant}: while the issuer is down, an expired session is neither used nor lost (docs/security.md T1)`,
    async (t) => {
      const { app, signedIn: browserOf, issuer, time } = await openidWorld(t)
      await app(kind)
      const alice = await browserOf()
      issuer.routes.set('/token', (_, response) => response.writeHead(503).end())
      time.tick(TOKEN_SECONDS - 1)
      t.equal(await page(alice), 200)
      time.tick(1)
      for (const how of [{}, NAVIGATION]) {
        const refused = await alice.request(`${APP}/page`, how)
        t.match([refused.status, refused.json().code], [503, 'ISSUER_UNAVAILABLE'])
      }
      t.equal((await alice.request(`${APP}/auth/session`)).status, 503, 'not "signed out"')
      t.equal(await who(alice), 'nobody', 'a public page still opens')
      issuer.routes.delete('/token')
      time.tick(5)
      t.same([await page(alice), await who(alice), await signedIn(alice)], [200, 'alice', true])
    },
  )

  t.test(`${variant}: a forged request does not refresh a session`, async (t) => {
    const { app, signedIn: browserOf, issuer, time } = await openidWorld(t)
    await app(kind)
    const alice = await browserOf()
    time.tick(TOKEN_SECONDS)
    const forged = { method: 'POST', headers: { origin: 'https://evil.example', 'x-csrf': '1' } }
    t.equal((await alice.request(`${APP}/token`, forged)).json().code, 'CSRF')
    t.equal(issuer.refreshes.length, 0)
  })

  t.test(`${variant}: a session without a refresh token ends with its access token`, async (t) => {
    const { app, signedIn: browserOf, issuer, time } = await openidWorld(t)
    await app(kind)
    issuer.routes.set('/token', (_, response, pass) => {
      const end = response.end.bind(response)
      response.end = ((chunk: unknown) => {
        const { refresh_token, ...tokens } = JSON.parse(String(chunk))
        const body = JSON.stringify(tokens)
        response.setHeader('content-length', Buffer.byteLength(body))
        return end(body)
      }) as typeof response.end
      pass()
    })
    const alice = await browserOf()
    time.tick(TOKEN_SECONDS - 1)
    t.equal(await page(alice), 200)
    time.tick(1)
    t.equal(await page(alice), 401)
    t.equal(await who(alice), 'nobody')
  })
}
