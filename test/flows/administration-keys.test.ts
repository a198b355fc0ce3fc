/** The administration API of the key ring, verifiers, nodes and the audit log. */
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { createLocalJWKSet, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import type { AuditEventView, AuditVerdictView } from '../../src/admin/audit.schema.ts'
import { ADMIN_PATH, adminAudience } from '../../src/admin/built-ins.ts'
import type { FindingsView } from '../../src/admin/findings.schema.ts'
import type { KeyRingView, RevokedView, RotatedView, SimulationView } from '../../src/admin/keys.schema.ts'
import type { NodesView } from '../../src/admin/nodes.schema.ts'
import type { VerifierView } from '../../src/admin/verifiers.schema.ts'
import { type Administrator, administrator } from '../support/server/administrator.ts'
import { DAY, HOUR } from '../support/server/keys.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'

const SCOPES = ['admin:read', 'admin:keys', 'admin:audit']

async function administered(t: Test, settings: Record<string, string> = {}) {
  const server = await testServer({ settings })
  t.teardown(server.close)
  return { server, ...(await administrator(server, 'robot', SCOPES)) }
}

const ringOf = async (send: Administrator['send']) => (await send('GET', '/keys')).json<KeyRingView>()
const publishedBy = async ({ inject }: TestServer): Promise<string[]> => {
  const { keys } = (await inject({ url: '/.well-known/jwks.json' })).json<{ keys: { kid: string }[] }>()
  return keys.map(({ kid }) => kid)
}
interface OpenApi {
  readonly paths: Record<string, Record<string, { readonly responses: Record<number, unknown> }>>
}
const isOf = (type: string) => ({ type: `urn:keyturn:problem:${type}` })

t.test('the key ring says what is published, and when it may and will rotate', async (t) => {
  const { server, send } = await administered(t as Test)
  const response = await send('GET', '/keys')
  const ring = response.json<KeyRingView>()
  const now = server.clock.now()
  t.match(ring, {
    ring_version: 1,
    now,
    safe: true,
    safe_from: now,
    behind: [],
    next_rotation_at: now + 30 * DAY,
  })
  t.same(ring.keys.map(({ state }) => state).sort(), ['active', 'next'])
  t.same((await publishedBy(server)).sort(), ring.keys.map(({ kid }) => kid).sort())
  t.same(
    [ring.active, ring.next],
    ['active', 'next'].map((wanted) => ring.keys.find(({ state }) => state === wanted)?.kid),
  )
  t.equal(response.headers.etag, '"1"')
  t.notMatch(response.body, /"d"|PRIVATE|encrypted/, 'no private key')
})

t.test(
  'a rotation that is not safe is refused with the time from which it is and who is behind',
  async (t) => {
    const { server, send } = await administered(t as Test)
    const first = await ringOf(send)
    const rotated = await send('POST', '/keys/rotate')
    t.equal(rotated.statusCode, 200, 'the first is always safe, and a body is not needed')
    t.match(rotated.json<RotatedView>(), { active: first.next, retiring: [first.active] })
    t.equal(rotated.headers.etag, '"2"')

    const now = server.clock.now()
    await server.store.verifiers.record([{ name: 'orders', instance: 'a', ringVersion: 1, seenAt: now }])
    await send('PUT', '/verifiers/orders')
    const before = await ringOf(send)
    const refused = await send('POST', '/keys/rotate', {})
    t.equal(refused.statusCode, 409)
    t.match(refused.headers['content-type'], 'application/problem+json')
    t.match(refused.json(), {
      ...isOf('rotation-unsafe'),
      status: 409,
      safe_from: now + DAY,
      behind: ['orders'],
    })
    t.same(await ringOf(send), before, 'nothing has changed')

    const forced = await send('POST', '/keys/rotate', { force: true })
    t.match(forced.json<RotatedView>(), { active: before.next })
    const events = server.logger.audits('keys.rotated').map(({ actor, reason }) => [actor, reason])
    t.same(events, [
      ['client:robot', undefined],
      ['client:robot', 'forced'],
    ])
  },
)

t.test('of two administrators who rotate the same version, one rotates and one gets 412', async (t) => {
  const { send } = await administered(t as Test)
  const seen = { 'if-match': String((await send('GET', '/keys')).headers.etag) }
  const rotate = () => send('POST', '/keys/rotate', { force: true }, seen)
  t.equal((await rotate()).statusCode, 200)
  const late = await rotate()
  t.equal(late.statusCode, 412)
  t.match(late.json(), isOf('precondition-failed'))
  t.equal((await ringOf(send)).ring_version, 2)
  const { next } = await ringOf(send)
  t.equal((await send('POST', `/keys/${next}/revoke`, {}, seen)).statusCode, 412)

  const current = { 'if-match': '"2"' }
  const both = await Promise.all([1, 2].map(() => send('POST', '/keys/rotate', { force: true }, current)))
  t.ok(
    both.every(({ statusCode }) => statusCode === 200 || statusCode === 412),
    both.map(({ statusCode }) => statusCode).join(),
  )
  t.equal((await ringOf(send)).ring_version, 3, 'at the same moment, too')
})

t.test('a revoked key leaves the JWKS at once, and the response names the exposure', async (t) => {
  const { server, send } = await administered(t as Test)
  const { active, next } = await ringOf(send)
  const now = server.clock.now()
  await server.store.verifiers.record([{ name: 'orders', instance: 'a', ringVersion: 1, seenAt: now - 60 }])
  const response = await send('POST', `/keys/${active.slice(0, 10)}/revoke`)
  t.equal(response.statusCode, 200)
  t.match(response.json<RevokedView>(), {
    revoked: active,
    active: next,
    exposed_until: now + DAY,
    held_by: [{ name: 'orders', instance: 'a', until: now - 60 + DAY }],
  })
  await server.poll()
  t.notOk((await publishedBy(server)).includes(active))
  t.match(server.logger.audits('keys.revoked'), [{ actor: 'client:robot', kid: active }])
  for (const kid of [active, 'unknown-kid', 'abc']) {
    const again = await send('POST', `/keys/${kid}/revoke`, {})
    t.equal(again.statusCode, 404, kid)
    t.match(again.json(), isOf('not-found'))
  }
})

t.test('a scenario says which verifiers would fail, and changes nothing', async (t) => {
  const { server, send } = await administered(t as Test)
  await send('POST', '/keys/rotate')
  const before = await ringOf(send)
  const simulate = async (body: object) => (await send('POST', '/keys/simulate', body)).json<SimulationView>()
  t.match(await simulate({ actions: [{ action: 'rotate' }] }), {
    ok: true,
    safe_from: before.safe_from,
    failing: [],
    moments: [{ event: 'start' }, { event: 'rotation_waits', until: before.safe_from }],
  })
  t.match(await simulate({ actions: [{ action: 'rotate', force: true }] }), {
    ok: false,
    failing: [{ verifier: null, kid: before.next, until: before.safe_from }],
  })
  t.match(await simulate({ actions: [{ action: 'revoke', kid: before.active }] }), {
    accepting_revoked: [{ verifier: null, kid: before.active }],
    tokens_refused: [{ kid: before.active }],
  })
  const rhythm = await simulate({ key_rotation: 7 * DAY, verifier_cache: HOUR })
  t.equal(rhythm.moments.filter(({ event }) => event === 'rotated').length, 3)
  t.same(await ringOf(send), before)

  const bad = {
    verifier_cache: 91 * DAY,
    jwks_max_age: -1,
    key_rotation: 1,
    every: '7d',
    actions: [{ action: 'x' }],
  }
  for (const [field, value] of Object.entries(bad)) {
    const response = await send('POST', '/keys/simulate', { [field]: value })
    t.equal(response.statusCode, 400, field)
    t.match(response.json(), isOf('invalid-value'))
  }
  const unknown = await send('POST', '/keys/simulate', { actions: [{ action: 'revoke', kid: 'unknown' }] })
  t.equal(unknown.statusCode, 404)
  const { paths } = (await server.inject({ url: `${ADMIN_PATH}/openapi.json` })).json<OpenApi>()
  t.ok(paths['/keys/simulate']?.post?.responses[404], 'the document has it')
})

t.test(
  'the answer of a simulation is limited, however many names strangers invent (docs/security.md R12)',
  async (t) => {
    const { server, send } = await administered(t as Test)
    const now = server.clock.now()
    const invented = Array.from({ length: 3000 }, (_, i) => ({
      name: `invented-${i}`,
      instance: 'i',
      ringVersion: 1,
      seenAt: now,
    }))
    await server.store.verifiers.record([
      ...invented,
      { name: 'zoo', instance: 'i', ringVersion: 1, seenAt: now },
    ])
    await send('PUT', '/verifiers/zoo')
    const actions = Array.from({ length: 20 }, () => ({ action: 'rotate', force: true }))
    const answer = await send('POST', '/keys/simulate', { actions })
    t.equal(answer.statusCode, 200)
    t.ok(
      answer.body.length < 2_000_000,
      `${answer.body.length} characters, of a hundred million without the limit`,
    )
    const { failing, moments, warnings, ok } = answer.json<SimulationView>()
    t.equal(ok, false)
    t.equal(failing.length, 1000)
    t.ok(moments.every((moment) => moment.failing.length <= 100))
    t.ok(
      failing.some(({ verifier }) => verifier === 'zoo'),
      'expected verifiers are listed first',
    )
    t.ok(moments.some((moment) => moment.failing.some(({ verifier }) => verifier === 'zoo')))
    t.match(warnings[0], /^\d{5} more would refuse good tokens, and are not listed$/)
  },
)

t.test('verifiers are expected, listed and forgotten', async (t) => {
  const { server, send } = await administered(t as Test)
  const listed = async (query = '') =>
    (await send('GET', `/verifiers${query}`)).json<{ items: VerifierView[]; next_cursor: string | null }>()
  const expected = await send('PUT', '/verifiers/orders')
  t.same([expected.statusCode, expected.json()], [200, { expected: 'orders' }])
  t.match(
    decodeURIComponent(String(expected.headers['keyturn-notes'])),
    /^no verifier named orders has fetched/,
  )
  const seenAt = server.clock.now()
  await server.store.verifiers.record([
    { name: 'stock', instance: 'a', ringVersion: 1, seenAt },
    { name: 'stock', instance: 'b', ringVersion: 0, seenAt },
  ])
  const rows = [
    { name: 'stock', instance: 'a', expected: false, seen_at: seenAt, behind: false },
    { name: 'stock', instance: 'b', expected: false, seen_at: seenAt, behind: true },
    { name: 'orders', instance: null, expected: true, seen_at: null, behind: false },
  ]
  t.same((await listed()).items, rows)
  const part = await listed('?limit=2')
  t.same(part.items, rows.slice(0, 2))
  t.same(await listed(`?cursor=${part.next_cursor}`), { items: rows.slice(2), next_cursor: null })
  t.equal((await send('PUT', '/verifiers/two%20words')).statusCode, 400)
  t.same((await send('DELETE', '/verifiers/orders')).json(), { forgotten: 'orders' })
  t.equal((await send('DELETE', '/verifiers/orders')).statusCode, 404)
  t.match(
    server.logger.audits().filter(({ audit }) => String(audit).startsWith('verifier.')),
    [
      { audit: 'verifier.expected', actor: 'client:robot', target: 'orders' },
      { audit: 'verifier.deleted', actor: 'client:robot', target: 'orders' },
    ],
  )
})

t.test('the serving nodes are listed with their state', async (t) => {
  const server = await testServer({ nodeInfo: { hostname: 'east', pid: 17 } })
  t.teardown(server.close)
  const { send } = await administrator(server, 'robot', SCOPES)
  await server.deps.jobs.heartbeat()
  t.match((await send('GET', '/nodes')).json<NodesView>(), {
    items: [{ hostname: 'east', pid: 17, state: 'serving', behind: false, ring_version: 1 }],
    next_cursor: null,
    ring_version: 1,
  })
})

t.test('a server checks its files and the ring, and names files without their folders', async (t) => {
  const folder = t.testdir({ keys: { 'master.key': randomBytes(32).toString('base64url') } })
  const [keyFile, database] = [join(folder, 'keys', 'master.key'), join(folder, 'keyturn.db')]
  chmodSync(keyFile, 0o600)
  const server = await testServer({
    settings: { KEYS_DIR: join(folder, 'keys'), MASTER_KEY_NEXT: randomBytes(32).toString('base64url') },
    database,
  })
  t.teardown(server.close)
  const { send } = await administrator(server, 'robot', SCOPES)
  const find = async () => (await send('GET', '/findings')).json<FindingsView>()
  // The PostgreSQL of the tests runs without fsync.
  const problems = async () => (await find()).items.filter(({ ok, check }) => !ok && check !== 'durability')
  const nextKey = { check: 'master key rotation', message: /^there is a next master key/ }
  t.match((await find()).items, [{ check: 'clock', ok: true, message: /^it is / }])
  t.match(await problems(), [nextKey])

  for (const file of [keyFile, database]) if (existsSync(file)) chmodSync(file, 0o644)
  t.match(await problems(), [nextKey], 'what it found is good for ten seconds')
  server.clock.tick(10)
  t.match(await problems(), [
    { check: 'master key', message: 'master.key can be read by others: chmod 600 master.key' },
    ...(existsSync(database)
      ? [{ check: 'database file', message: /^keyturn\.db can be read by others .*: chmod 600 keyturn\.db$/ }]
      : []),
  ])
  t.notMatch(JSON.stringify(await find()), folder)
})

t.test('audit events are listed in parts, the newest first, and filtered', async (t) => {
  const { server, send } = await administered(t as Test)
  await send('PUT', '/verifiers/orders')
  server.clock.tick(HOUR)
  await send('PUT', '/verifiers/stock')
  await send('DELETE', '/verifiers/stock')
  const listed = async (query = '') =>
    (await send('GET', `/audit${query}`)).json<{ items: AuditEventView[]; next_cursor: string | null }>()
  const ofVerifiers = '?event=verifier.expected'
  t.match((await listed(ofVerifiers)).items, [
    { event: 'verifier.expected', actor: 'client:robot', fields: { target: 'stock' }, username: null },
    { fields: { target: 'orders' } },
  ])
  const all = await listed()
  const parts: AuditEventView[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const part = await listed(cursor === '' ? '?limit=2' : `?limit=2&cursor=${cursor}`)
    t.ok(part.items.length <= 2)
    parts.push(...part.items)
    cursor = part.next_cursor
  }
  // Each request issues a token, which is an event of its own.
  const known = new Set(all.items.map(({ seq }) => seq))
  t.same(
    parts.filter(({ seq }) => known.has(seq)),
    all.items,
  )
  const hourAgo = server.clock.now() - HOUR
  for (const since of ['30m', String(hourAgo + 1), new Date((hourAgo + 1) * 1000).toISOString()])
    t.match((await listed(`${ofVerifiers}&since=${since}`)).items, [{ fields: { target: 'stock' } }], since)
  t.match((await listed(`${ofVerifiers}&until=30m`)).items, [{ fields: { target: 'orders' } }])
  t.ok((await listed('?client=robot')).items.length > 0)
  const refused: readonly [string, number][] = [
    ['?since=yesterday', 400],
    ['?until=0s', 400],
    ['?event=nothing.happened', 400],
    ['?limit=0', 400],
    ['?limit=1001', 400],
    ['?cursor=x', 400],
    ['?user=nobody', 404],
    ['?client=ghost', 404],
    ['?colour=red', 400],
  ]
  const { paths } = (await server.inject({ url: `${ADMIN_PATH}/openapi.json` })).json<OpenApi>()
  for (const [query, status] of refused) {
    t.equal((await send('GET', `/audit${query}`)).statusCode, status, query)
    t.ok(paths['/audit']?.get?.responses[status], 'the document has it')
  }
})

t.test('the audit log is verified over the API', async (t) => {
  const { server, send } = await administered(t as Test)
  await send('PUT', '/verifiers/orders')
  await send('GET', '/audit')
  const verify = (query = '') => send('GET', `/audit/verification${query}`)
  const verdict = (await verify()).json<AuditVerdictView>()
  t.match(verdict, { intact: true, signed: true, findings: [], head: /^\d+:/ })
  t.match((await verify(`?anchor=${verdict.head}`)).json(), { intact: true })
  t.equal((await verify('?anchor=5')).statusCode, 400)
  const other = `1:${'a'.repeat(43)}`
  const [found, same] = await Promise.all([verify(`?anchor=${other}`), verify(`?anchor=${other}`)])
  t.match(found.json(), { intact: false })
  t.same(found.json(), same.json())
  t.equal((await server.store.auditRows.state()).head !== null, true)
})

t.test('each of these routes needs its scope, and changes nothing without it', async (t) => {
  const server = await testServer()
  t.teardown(server.close)
  const { active } = await ringOf((await administrator(server, 'all', SCOPES)).send)
  const routes = [
    ['GET', '/keys', 'admin:read'],
    ['POST', '/keys/rotate', 'admin:keys'],
    ['POST', '/keys/simulate', 'admin:read'],
    ['POST', `/keys/${active}/revoke`, 'admin:keys'],
    ['GET', '/verifiers', 'admin:read'],
    ['PUT', '/verifiers/orders', 'admin:keys'],
    ['DELETE', '/verifiers/orders', 'admin:keys'],
    ['GET', '/nodes', 'admin:read'],
    ['GET', '/findings', 'admin:read'],
    ['GET', '/audit', 'admin:audit'],
    ['GET', '/audit/verification', 'admin:audit'],
  ] as const
  await server.store.verifiers.expect('orders', server.clock.now())
  for (const scope of ['admin:read', 'admin:keys', 'admin:audit', 'admin:users', 'admin:clients']) {
    const { send } = await administrator(server, scope.replace(':', '-'), [scope])
    for (const [method, path, needed] of routes) {
      if (needed === scope) continue
      const { statusCode, headers } = await send(method, path)
      t.equal(statusCode, 403, `${method} ${path} with ${scope}`)
      t.match(headers['www-authenticate'], `scope="${needed}"`)
    }
  }
  t.match(await server.store.ring.read(), { version: 1 })
  t.same(await server.store.verifiers.expected(), ['orders'])
})

t.test('during rotations through the API no verifier refuses a good token', async (t) => {
  const CACHE = 120
  const { server, send, token } = await administered(t as Test, { VERIFIER_CACHE: `${CACHE}s` })
  /** Verifiers that use a JWKS for exactly as long as they may. */
  const caches = Array.from({ length: 12 }, () => ({ until: 0, keys: createLocalJWKSet({ keys: [] }) }))
  const tokens: string[] = []
  let verified = 0
  const failed: unknown[] = []
  async function verifyAll(): Promise<void> {
    const now = server.clock.now()
    for (const cache of caches) {
      if (now >= cache.until) {
        const response = await server.inject({ url: '/.well-known/jwks.json' })
        Object.assign(cache, { until: now + CACHE, keys: createLocalJWKSet(response.json()) })
      }
      // The latest tokens, and some older ones, which have not expired either.
      for (const jwt of tokens.filter((_, i) => i % 10 === 0 || i >= tokens.length - 6)) {
        const options = { issuer: ISSUER, audience: adminAudience(ISSUER), currentDate: new Date(now * 1000) }
        await jwtVerify(jwt, cache.keys, options).then(
          () => {
            verified += 1
          },
          (error) => failed.push(error),
        )
      }
    }
  }
  // The caches expire at different times.
  for (const [i, cache] of caches.entries()) Object.assign(cache, { until: server.clock.now() + i * 10 })
  for (const cache of caches)
    cache.keys = createLocalJWKSet((await server.inject({ url: '/.well-known/jwks.json' })).json())

  let rotations = 0
  let refused = 0
  for (let round = 0; round < 40; round += 1) {
    server.clock.tick(10)
    const load = Array.from({ length: 4 }, async () => tokens.push(await token()))
    const [response] = await Promise.all([send('POST', '/keys/rotate'), ...load, verifyAll()])
    if (response.statusCode === 200) rotations += 1
    else refused += 1
    tokens.push(await token())
    await server.poll()
    tokens.push(await token())
    await verifyAll()
  }
  t.same(failed, [])
  t.equal(rotations, 4, 'as often as it was safe')
  t.equal(refused, 36)
  t.ok(verified > 10_000, `${verified} verifications`)
})
