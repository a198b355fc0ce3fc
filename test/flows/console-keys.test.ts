/** The console's pages of the ring, the verifiers, the nodes and the audit log. */
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { activeKey, nextKey } from '../../src/keys/ring.ts'
import type { Ring } from '../../src/store/contracts/ring.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { consoleServer, enter, LOOPBACK } from '../support/browser/console.ts'
import { type Issued, issued, verifiers } from '../support/issuers/caching-verifier.ts'
import { clientCredentials } from '../support/server/requests.ts'
import type { TestServer } from '../support/server/server.ts'

const ringOf = async ({ store }: TestServer): Promise<Ring> => (await store.ring.read()) as Ring

const press = (browser: Browser, page: Page, check: readonly string[] = []) =>
  browser.submit(page, { form: new URL(page.url, LOOPBACK).pathname, check })

async function rotate(browser: Browser, check: readonly string[] = []): Promise<Page> {
  return press(browser, await browser.open('/admin/keys/rotate'), check)
}

t.test(
  'the page before a rotation explains the gate, and an unsafe rotation needs a box of its own',
  async (t) => {
    const server = await consoleServer(t as Test, { ISSUER: LOOPBACK, KEY_ROTATION: 'off' })
    const { browser } = await enter(server, '/admin/keys')
    const before = await ringOf(server)
    const safe = await browser.open('/admin/keys/rotate')
    t.match(safe.body, /It is safe to rotate now: no verifier can have a cached JWKS without the next key/)
    t.match(safe.body, nextKey(before).kid)
    const rotated = await press(browser, safe)
    t.match(rotated.body, /The keys were rotated/)
    const after = await ringOf(server)
    t.equal(activeKey(after).kid, nextKey(before).kid)
    await server.poll()

    const unsafe = await browser.open('/admin/keys/rotate')
    t.match(unsafe.body, /It is not safe to rotate before <time/)
    t.match(unsafe.body, /Who would refuse good tokens/)
    const refused = await press(browser, unsafe)
    t.equal(refused.status, 409)
    t.match(refused.body, /role="alert"/)
    t.same(await ringOf(server), after, 'nothing has changed')
    t.match((await press(browser, refused, ['force'])).body, /The keys were rotated/)
    const root = await server.store.users.findByUsername('root')
    const actors = server.logger.audits('keys.rotated').map(({ actor }) => actor)
    t.same(actors, [`user:${root?.id}`, `user:${root?.id}`])
  },
)

t.test(
  'of two administrators who rotate at once, one rotates and the other sees the new ring (412)',
  async (t) => {
    const server = await consoleServer(t as Test)
    const [one, two] = [await enter(server), await enter(server)]
    const form = await two.browser.open('/admin/keys/rotate')
    await rotate(one.browser)
    const ring = await ringOf(server)
    const late = await press(two.browser, form, [])
    t.equal(late.status, 412)
    t.match(late.body, 'Active key')
    t.match(late.body, activeKey(ring).kid)
    t.same(await ringOf(server), ring)
  },
)

t.test('the page before a revocation shows who would still accept the key, and until when', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser } = await enter(server)
  const headers = { 'keyturn-verifier': 'orders; instance=one' }
  await server.inject({ url: '/.well-known/jwks.json', headers })
  await clientCredentials(server)
  await server.poll()
  const { kid } = activeKey(await ringOf(server))
  const asked = await browser.open(`/admin/keys/revoke?kid=${kid}`)
  t.match(asked.body, /Verifiers with a cached JWKS may accept the revoked key until <time/)
  t.match(asked.body, /orders<\/bdi> has the key cached, until <time/)
  t.match(asked.body, /Tokens that it has signed are refused/)
  t.match(asked.body, /<button type="submit" class="button danger"/)
  t.equal(activeKey(await ringOf(server)).kid, kid, 'the page itself revokes nothing')
  t.match((await press(browser, asked)).body, /was revoked/)
  const jwks = await server.poll().then(() => server.inject({ url: '/.well-known/jwks.json' }))
  t.notMatch(jwks.body, kid)
  t.equal((await browser.open('/admin/keys/revoke?kid=nothing')).status, 404)
})

t.test('rotations wait for a verifier that an administrator expects, until it is forgotten', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser, page } = await enter(server, '/admin/keys')
  const expect = (from: Page, verifier: string) =>
    browser.submit(from, { form: '/admin/keys/verifiers/expect', fill: { verifier } })
  const refused = await expect(page, 'two words')
  t.equal(refused.status, 400)
  t.match(refused.body, /id="verifier-error"[^>]*>two words is not a valid verifier name/)
  const expected = await expect(refused, 'billing')
  t.match(expected.body, /From now on, rotations wait for/)
  t.match(expected.body, /no verifier named billing has fetched the JWKS/)
  t.same(await server.store.verifiers.expected(), ['billing'])
  await server.inject({
    url: '/.well-known/jwks.json',
    headers: { 'keyturn-verifier': 'billing; instance=a' },
  })
  await server.poll()
  await rotate(browser)
  t.match((await browser.open('/admin')).body, /The next rotation waits for <bdi class="name">billing/)
  const asked = await browser.open('/admin/keys/verifiers/forget?verifier=billing')
  t.match(asked.body, /Rotations no longer wait for it/)
  await browser.submit(asked, { form: '/admin/keys/verifiers/forget' })
  t.same(await server.store.verifiers.expected(), [])
})

t.test('a rotation from the console under load causes no failed verification', async (t) => {
  const server = await consoleServer(t as Test, { ISSUER: LOOPBACK, KEY_ROTATION: 'off' })
  const { browser } = await enter(server)
  const watchers = verifiers(server, 10, 86_400)
  const tokens: Issued[] = []
  const failures: string[] = []
  const issue = async () => {
    const token = issued((await clientCredentials(server)).json().access_token)
    tokens.push(token)
    for (const watcher of watchers) {
      const reason = await watcher.refusalReason(token)
      if (reason !== undefined) failures.push(reason)
    }
  }
  let rotating = true
  const load = (async () => {
    while (rotating) await Promise.all([issue(), issue(), issue()])
  })()
  await issue()
  const page = await rotate(browser)
  t.match(page.body, /The keys were rotated/)
  await server.poll()
  for (let count = 0; count < 30; count += 1) await issue()
  rotating = false
  await load
  t.equal(new Set(tokens.map(({ kid }) => kid)).size, 2, 'both keys have signed')
  t.same(failures, [])
})

t.test('the overview counts the last hour of all nodes and draws the ring in words too', async (t) => {
  const server = await consoleServer(t as Test)
  for (let count = 0; count < 3; count += 1) await clientCredentials(server)
  const { page } = await enter(server, '/admin')
  t.match(page.body, /<dt>tokens issued<\/dt><dd>3<\/dd>/)
  t.match(page.body, /<dt>sign-ins<\/dt><dd>1<\/dd>/)
  t.match(page.body, /<figure class="ring" aria-label="The ring on a timeline">/)
  t.match(page.body, /<span class="visually-hidden">published <time[^>]*>[^<]*<\/time>, signs from/)
})

t.test('the overview warns of what the server finds when it checks itself', async (t) => {
  const masterKeyNext = randomBytes(32).toString('base64url')
  const server = await consoleServer(t as Test, { ISSUER: LOOPBACK, MASTER_KEY_NEXT: masterKeyNext })
  const { page } = await enter(server, '/admin')
  t.match(
    page.body,
    /<strong>Rotation of the master key:<\/strong> <span lang="en">there is a next master key/,
  )
})

t.test('the audit log is filtered, and verified on request', async (t) => {
  const server = await consoleServer(t as Test)
  const { browser, page } = await enter(server, '/admin/audit')
  t.match(page.body, /login\.succeeded/)
  const filtered = await browser.open('/admin/audit?event=keys.created')
  t.match(filtered.body, /<code>keys\.created<\/code>/)
  t.notMatch(filtered.body, /<code>login\.succeeded<\/code>/)
  const wrong = await browser.open('/admin/audit?since=yesterday')
  t.equal(wrong.status, 400)
  t.match(wrong.body, /since must be a duration/)
  t.match(wrong.body, /value="yesterday"/)
  t.equal((await browser.open('/admin/audit?user=nobody')).status, 404)
  const verified = await press(browser, await browser.open('/admin/audit/verify'))
  t.match(verified.body, /The log is intact/)
})
