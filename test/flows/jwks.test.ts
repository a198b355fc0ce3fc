import t, { type Test } from 'tap'
import { revokeKey, rotateRing } from '../../src/keys/rotate.ts'
import { clientCredentials } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'

const DAY = 86_400
const URL = '/.well-known/jwks.json'

async function start(t: Test, options: TestServerOptions = {}) {
  const server = await testServer(options)
  t.teardown(() => server.close())
  await seed(server.store)
  return server
}

const get = (server: TestServer, headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
  server.inject({ method, url: URL, headers })

const cacheControl = async (server: TestServer) => (await get(server)).headers['cache-control']

const rotate = async (server: TestServer, force = false) => {
  await rotateRing(server.deps.keys, { actor: 'operator:test', force })
  await server.poll()
}

t.test(
  'the JWKS contains only public members, unique kids, one alg per key and 2048-bit RSA keys (RFC 7517 §4; docs/security.md H91, H93, O159)',
  async (t) => {
    const server = await start(t)
    await rotate(server)
    const answer = await get(server)
    t.match(answer.headers['content-type'], /^application\/jwk-set\+json/)
    const { keys, ...rest } = answer.json() as { keys: Record<string, string>[] }
    t.same(rest, {})
    t.equal(keys.length, 3, 'next, active and retiring')
    for (const key of keys) {
      t.same(Object.keys(key).sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use'])
      t.match(key, { kty: 'RSA', alg: 'RS256', use: 'sig', e: 'AQAB' })
      t.equal(Buffer.from(key.n ?? '', 'base64url').length, 256)
    }
    t.equal(new Set(keys.map(({ kid }) => kid)).size, 3)
  },
)

t.test(
  'If-None-Match with a matching tag gets 304, using weak comparison, lists and * (RFC 9110 §13.1.2)',
  async (t) => {
    const server = await start(t)
    const first = await get(server)
    const etag = String(first.headers.etag)
    t.match(etag, /^"[\w-]+"$/)
    const known = [etag, `W/${etag}`, `"other", ${etag}`, `"other",W/${etag} , "x"`, '*', ` ${etag} `]
    for (const value of known) {
      for (const method of ['GET', 'HEAD'] as const) {
        const answer = await get(server, { 'if-none-match': value }, method)
        t.same([answer.statusCode, answer.body], [304, ''], `${method} ${value}`)
        t.equal(answer.headers.etag, etag, 'the tag is repeated (RFC 9110 §15.4.5)')
        t.equal(answer.headers['cache-control'], first.headers['cache-control'])
        t.equal(answer.headers['access-control-allow-origin'], '*')
      }
    }
    for (const value of ['"other"', etag.slice(1, -1), `${etag}x`, '', 'W/', '"', etag.toUpperCase()]) {
      t.equal((await get(server, { 'if-none-match': value })).statusCode, 200, value)
    }
  },
)

t.test('the ETag changes if and only if the key ring changes (RFC 9110 §8.8.3)', async (t) => {
  const server = await start(t)
  const before = (await get(server)).headers.etag
  server.clock.tick(100)
  await clientCredentials(server)
  await server.poll()
  t.equal((await get(server)).headers.etag, before)
  await rotate(server)
  const after = await get(server, { 'if-none-match': String(before) })
  t.equal(after.statusCode, 200)
  t.not(after.headers.etag, before)
})

t.test('HEAD returns the same headers as GET without a body (RFC 9110 §9.3.2)', async (t) => {
  const server = await start(t)
  const [head, whole] = [await get(server, {}, 'HEAD'), await get(server)]
  t.equal(head.body, '')
  const { date: _a, ...a } = head.headers
  const { date: _b, ...b } = whole.headers
  t.same(a, b)
})

t.test(
  'max-age never extends past the next scheduled change of the key ring (OpenID Connect Core §10.1.1; docs/security.md H92)',
  async (t) => {
    const server = await start(t)
    t.equal(await cacheControl(server), 'public, max-age=300', 'JWKS_MAX_AGE')
    server.clock.tick(30 * DAY - 301)
    await server.poll()
    t.equal(await cacheControl(server), 'public, max-age=300')
    for (const left of [300, 200, 17, 1, 0]) {
      server.clock.set(server.deps.signing.ring.ring().createdAt + 30 * DAY - left)
      t.equal(await cacheControl(server), `public, max-age=${left}`, `${left} s before the rotation`)
    }
    const kids = (await get(server)).json().keys.length
    await server.poll()
    t.equal((await get(server)).json().keys.length, kids + 1, 'it has rotated')
  },
)

t.test(
  'max-age never extends past the removal of a retiring key (OpenID Connect Core §10.1.1; docs/security.md H92)',
  async (t) => {
    const server = await start(t)
    const { expires_in: lifetime } = (await clientCredentials(server)).json()
    await rotate(server)
    t.equal((await get(server)).json().keys.length, 3)
    const retiring = server.deps.signing.ring.ring().keys.find(({ state }) => state === 'retiring')
    const leaves = Number(retiring?.tokensUntil) + 60
    t.ok(leaves >= server.clock.now() + lifetime + 60, 'not before its last token has expired')
    for (const left of [120, 30, 1]) {
      server.clock.set(leaves - left)
      await server.poll()
      t.equal(await cacheControl(server), `public, max-age=${left}`)
    }
    server.clock.tick(2)
    await server.poll()
    t.equal((await get(server)).json().keys.length, 2)
  },
)

t.test('after a key revocation responses are no-cache until no cache can hold the revoked key', async (t) => {
  const server = await start(t, { settings: { VERIFIER_CACHE: '2h' } })
  const [bad] = server.deps.signing.ring.ring().keys.filter(({ state }) => state === 'active')
  const etag = String((await get(server)).headers.etag)
  await revokeKey(server.deps.keys, bad?.kid ?? '', { actor: 'operator:test' })
  await server.poll()
  const kids = (await get(server)).json().keys.map(({ kid }: { kid: string }) => kid)
  t.notOk(kids.includes(bad?.kid), 'it is removed at once')
  t.equal((await get(server, { 'if-none-match': etag })).statusCode, 200)
  t.equal(await cacheControl(server), 'no-cache')
  server.clock.tick(7199)
  t.equal(await cacheControl(server), 'no-cache')
  server.clock.tick(1)
  t.equal(await cacheControl(server), 'public, max-age=300')
})

t.test('JWKS_MAX_AGE=0 makes caches revalidate every time', async (t) => {
  const server = await start(t, { settings: { JWKS_MAX_AGE: '0s' } })
  t.equal(await cacheControl(server), 'public, max-age=0')
})

t.test(
  'the JWKS is served from memory while the store is down (RFC 9110 §13; docs/security.md Q15)',
  async (t) => {
    const server = await testServer()
    const before = (await get(server)).body
    await server.store.db.close()
    const answer = await get(server)
    t.same([answer.statusCode, answer.body], [200, before])
    await server.app.close()
  },
)
