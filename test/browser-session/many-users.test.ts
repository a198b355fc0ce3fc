/** What one user does or suffers changes nothing for the others. */
import t from 'tap'
import { boundedMap } from '../../packages/browser-session/bounded-map.ts'
import { memoryStore } from '../../packages/browser-session/index.ts'
import type { JarBrowser } from '../support/browser/cookie-browser.ts'
import {
  APP,
  type OpenidIssuer,
  openidWorld,
  SAME_ORIGIN_HEADERS,
  TOKEN_SECONDS,
} from '../support/issuers/oidc-provider.ts'

const token = async (browser: JarBrowser) => (await browser.request(`${APP}/token`)).json()
const who = async (browser: JarBrowser) => (await browser.request(`${APP}/who`)).body

/** Replaces the responses of the token endpoint, and counts the requests. */
function failing(issuer: OpenidIssuer, status: number, body = ''): { count: number } {
  const requests = { count: 0 }
  issuer.routes.set('/token', (_, response) => {
    requests.count += 1
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
  return requests
}

for (const [what, status, body, code] of [
  ['that the issuer refuses', 400, '{"error":"invalid_scope"}', 'REFRESH_FAILED'],
  ['at which the issuer fails', 500, '', 'ISSUER_UNAVAILABLE'],
] as const) {
  t.test(
    `a refresh ${what} is repeated after five seconds, and delays no other session (docs/security.md T2)`,
    async (t) => {
      const { app, signedIn, issuer, time } = await openidWorld(t)
      await app()
      const alice = await signedIn()
      issuer.account = 'mallory'
      const [mallory, other] = [await signedIn(), await signedIn()]
      time.tick(TOKEN_SECONDS)
      const requests = failing(issuer, status, body)
      for (const browser of [mallory, other, mallory]) t.match(await token(browser), { code })
      t.equal(requests.count, 2, 'each session asks once')
      issuer.routes.delete('/token')
      t.same(await token(alice), { nth: 3 })
      t.match(await token(mallory), { code }, 'not before')
      time.tick(5)
      t.same(await token(mallory), { nth: 4 })
    },
  )
}

t.test(
  'after an issuer has failed three users in a row, no request is sent to it for five seconds (docs/security.md T2)',
  async (t) => {
    const { app, signedIn, issuer, time } = await openidWorld(t)
    await app()
    const browsers: JarBrowser[] = []
    for (const account of ['alice', 'bob', 'carol', 'dave']) {
      issuer.account = account
      browsers.push(await signedIn())
    }
    time.tick(TOKEN_SECONDS)
    const requests = failing(issuer, 503)
    for (const browser of browsers) t.match(await token(browser), { code: 'ISSUER_UNAVAILABLE' })
    t.equal(requests.count, 3)
    time.tick(5)
    const dave = browsers.pop() as JarBrowser
    t.match(await token(dave), { code: 'ISSUER_UNAVAILABLE' })
    t.match(await token(browsers[0] as JarBrowser), { code: 'ISSUER_UNAVAILABLE' })
    t.equal(requests.count, 4, 'one failure is enough until a refresh succeeds')
    issuer.routes.delete('/token')
    time.tick(5)
    for (const browser of browsers) t.type((await token(browser)).nth, 'number')
  },
)

t.test(
  'a user who signs in over and over loses old sessions, and signs no one else out (docs/security.md T3)',
  async (t) => {
    const { app, signedIn, issuer, time } = await openidWorld(t)
    const store = memoryStore({ maxSessions: 8, maxSessionsPerUser: 3, clock: time.clocks.clock })
    await app({ store })
    const alice = await signedIn()
    issuer.account = 'mallory'
    const first = await signedIn()
    for (let i = 0; i < 10; i += 1) await signedIn()
    t.equal(await who(alice), 'alice')
    t.equal(await who(first), 'nobody')
    t.equal(await who(await signedIn()), 'mallory')
  },
)

t.test(
  'cookie: a user who signs out over and over does not revive the copied cookie of another user (docs/security.md T3)',
  async (t) => {
    const map = boundedMap<true>({ maxSize: 100, maxPerOwner: 10 }, () => 0)
    map.set('session of alice', true, 1, 'alice')
    for (let i = 0; i < 1000; i += 1) map.set(`session ${i}`, true, 1, 'mallory')
    t.ok(map.get('session of alice'))
    t.equal(map.size, 11)
    t.notOk(map.get('session 989'))
    t.ok(map.get('session 990'))
    map.set('session 1000', true, 1, 'mallory')
    t.ok(map.get('session 990'), 'the least recently used is dropped')
    t.notOk(map.get('session 991'))

    const { app, signedIn, issuer, copyOf } = await openidWorld(t)
    await app({ store: 'cookie' })
    const leave = (browser: JarBrowser) =>
      browser.request(`${APP}/auth/logout`, { method: 'POST', headers: SAME_ORIGIN_HEADERS })
    const alice = await signedIn()
    const copy = copyOf(alice)
    await leave(alice)
    issuer.account = 'mallory'
    await leave(await signedIn())
    t.equal(await who(copy), 'nobody')
  },
)
