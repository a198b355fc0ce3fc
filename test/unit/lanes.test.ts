import { join } from 'node:path'
import { compactVerify, createLocalJWKSet, decodeProtectedHeader } from 'jose'
import t, { type Test } from 'tap'
import { addLane, assertLaneSafe, removeLane, setDefaultLane } from '../../src/keys/change-lanes.ts'
import { openLiveRing } from '../../src/keys/live-ring.ts'
import { activeKey, laneNames, lanesOf, nextKey, SKEW } from '../../src/keys/ring.ts'
import { ensureRing, maintainRing, type RotateDeps, revokeKey, rotateRing } from '../../src/keys/rotate.ts'
import { createSigner } from '../../src/keys/signer.ts'
import type { Ring } from '../../src/store/contracts/ring.ts'
import { testClock } from '../support/server/clock.ts'
import { DAY, HOUR, openStore, POLICY, QUICK, ringDeps } from '../support/server/keys.ts'

const T0 = 1_000_000
const me = { actor: 'operator:me' }
const force = { ...me, force: true }

/** Administrators on one database with a ring of these lanes, and nodes that serve it, each on its own connection. */
async function world(t: Test, algorithms: readonly ('ES256' | 'EdDSA' | 'ES384')[] = ['ES256']) {
  const file = join(t.testdir(), 'keyturn.db')
  const clock = testClock(T0)
  const audited: string[] = []
  const audit: RotateDeps['audit'] = (event, { target, kid }) =>
    audited.push([event, target ?? kid].join(' '))

  async function open() {
    const store = await openStore(file)
    t.teardown(() => store.db.close())
    return store
  }
  async function administrator(overrides: Partial<RotateDeps> = {}): Promise<RotateDeps> {
    return { ...ringDeps(await open(), clock, { audit }), ...overrides }
  }
  async function node() {
    const store = await open()
    const live = await openLiveRing({ ...ringDeps(store, clock), store }, await read())
    return { live, signer: createSigner(live, 'i') }
  }
  const admin = await administrator()
  await ensureRing(admin, { algorithms })
  const read = async () => (await admin.store.ring.read()) as Ring
  return { admin, administrator, node, clock, audited, read, store: await open() }
}

const claims = (now: number) => ({ iss: 'i', sub: 's', aud: 'a', iat: now, exp: now + 600 })
const lane = (ring: Ring, alg: string) => lanesOf(ring).find((one) => one.alg === alg)

t.test(
  'a new ring has the chosen lanes, the first one is the default, and all are usable at once',
  async (t) => {
    const { admin, read, audited } = await world(t as Test, ['EdDSA', 'ES256', 'ES384'])
    const ring = await read()
    t.equal(ring.defaultAlg, 'EdDSA')
    t.same(laneNames(ring), ['EdDSA', 'ES256', 'ES384'])
    t.equal(ring.keys.length, 6)
    t.equal(new Set(ring.keys.map(({ kid }) => kid)).size, 6)
    for (const alg of laneNames(ring)) await t.resolves(assertLaneSafe(admin, ring, alg), alg)
    t.equal(audited.filter((line) => line.startsWith('keys.created')).length, 3)
  },
)

t.test(
  'each lane signs with its own key, and alg and kid agree with the JWKS (RFC 8725 §3.1; docs/security.md H93)',
  async (t) => {
    const { node, read, clock } = await world(t as Test, ['EdDSA', 'ES256'])
    const { live, signer } = await node()
    const ring = await read()
    for (const [alg, expected] of [
      [undefined, 'EdDSA'],
      ['EdDSA', 'EdDSA'],
      ['ES256', 'ES256'],
    ] as const) {
      const jwt = await signer.sign('at+jwt', claims(clock.now()), alg)
      t.same(decodeProtectedHeader(jwt), { alg: expected, typ: 'at+jwt', kid: activeKey(ring, expected).kid })
      await t.resolves(compactVerify(jwt, createLocalJWKSet(JSON.parse(live.jwks().body))))
      t.match(await signer.verify(jwt, { typ: 'at+jwt', issuer: 'i', now: clock.now() }), { valid: true })
      t.ok(
        activeKey(await read(), expected).tokensUntil >= clock.now() + 600,
        'its own key is kept as long as needed',
      )
    }
    t.equal(await signer.defaultAlg(), 'EdDSA')
  },
)

t.test('nothing is signed in another lane than the requested one', async (t) => {
  const { node, clock } = await world(t as Test)
  const { signer } = await node()
  for (const alg of ['EdDSA', 'none', 'HS256', '', '__proto__'])
    await t.rejects(signer.sign('at+jwt', claims(clock.now()), alg), { name: 'StoreUnavailable' }, alg)
})

t.test(
  'a lane that is added publishes two keys, and may be used once no verifier can lack them (docs/security.md Y1)',
  async (t) => {
    const { admin, clock, read, audited } = await world(t as Test)
    clock.tick(HOUR)
    const { version } = await addLane(admin, 'EdDSA', me)
    const ring = await read()
    t.equal(version, ring.version)
    t.equal(ring.version, 2)
    t.equal(ring.defaultAlg, 'ES256')
    t.equal(lane(ring, 'EdDSA')?.active.publishedIn, 2)
    t.equal(lane(ring, 'EdDSA')?.next.publishedIn, 2)
    t.equal(audited.at(-1), 'keys.lane_added EdDSA')
    const refusal = { name: 'LaneUnsafe', safeFrom: T0 + HOUR + DAY, behind: [] }
    await t.rejects(assertLaneSafe(admin, ring, 'EdDSA'), refusal)
    await t.rejects(setDefaultLane(admin, 'EdDSA', me), refusal)
    clock.set(T0 + HOUR + DAY - 1)
    await t.rejects(setDefaultLane(admin, 'EdDSA', me), refusal)
    t.same(await read(), ring, 'and nothing has changed')
    clock.set(T0 + HOUR + DAY)
    t.match(await setDefaultLane(admin, 'EdDSA', me), { version: 3, defaultAlg: 'EdDSA' })
    t.equal(audited.at(-1), 'keys.default_changed EdDSA')
    t.equal((await setDefaultLane(admin, 'EdDSA', me)).version, 3, 'repeating it changes nothing')
  },
)

t.test(
  'an expected verifier that has not fetched the key of a lane delays its use, and is named (docs/security.md Y1)',
  async (t) => {
    const { admin, clock, store } = await world(t as Test)
    await store.verifiers.expect('orders', T0)
    await addLane(admin, 'EdDSA', me)
    clock.tick(DAY)
    await store.verifiers.record([
      { name: 'orders', instance: '1', ringVersion: 1, seenAt: clock.now() - 60 },
      { name: 'stranger', instance: '1', ringVersion: 1, seenAt: clock.now() - 60 },
    ])
    await t.rejects(setDefaultLane(admin, 'EdDSA', me), { behind: ['orders'], message: /orders/ })
    await store.verifiers.record([{ name: 'orders', instance: '1', ringVersion: 2, seenAt: clock.now() }])
    await t.resolves(setDefaultLane(admin, 'EdDSA', me))
  },
)

t.test('what makes the active key of a lane younger makes the lane unsafe again', async (t) => {
  const { admin, clock, read } = await world(t as Test)
  await addLane(admin, 'EdDSA', me)
  clock.tick(DAY)
  await t.resolves(assertLaneSafe(admin, await read(), 'EdDSA'))
  await rotateRing(admin, { ...force, lanes: ['EdDSA'] })
  await t.resolves(assertLaneSafe(admin, await read(), 'EdDSA'), 'its next key is as old')
  await rotateRing(admin, { ...force, lanes: ['EdDSA'] })
  await t.rejects(assertLaneSafe(admin, await read(), 'EdDSA'), {
    name: 'LaneUnsafe',
    safeFrom: clock.now() + DAY,
  })
  await t.resolves(assertLaneSafe(admin, await read(), 'ES256'))
})

t.test('a lane that was revoked before it was used is no safer than it was', async (t) => {
  const { admin, clock, read } = await world(t as Test)
  const { keys } = await addLane(admin, 'EdDSA', me)
  const first = keys.find(({ alg, state }) => alg === 'EdDSA' && state === 'active')
  clock.tick(HOUR)
  await revokeKey(admin, first?.kid ?? '', me)
  t.equal(activeKey(await read(), 'EdDSA').signsFrom, T0 + DAY)
  await t.rejects(assertLaneSafe(admin, await read(), 'EdDSA'), { name: 'LaneUnsafe', safeFrom: T0 + DAY })
  clock.set(T0 + DAY)
  await t.resolves(setDefaultLane(admin, 'EdDSA', me))
})

t.test(
  'a rotation of one lane leaves the others, and one without a choice rotates all in one step',
  async (t) => {
    const { admin, read } = await world(t as Test, ['ES256', 'EdDSA'])
    const before = await read()
    const one = await rotateRing(admin, { ...force, lanes: ['EdDSA'] })
    t.equal(one.version, 2)
    t.equal(activeKey(one, 'EdDSA').kid, nextKey(before, 'EdDSA').kid)
    t.equal(nextKey(one, 'EdDSA').alg, 'EdDSA')
    t.same(lane(one, 'ES256'), lane(before, 'ES256'))
    const all = await rotateRing(admin, force)
    t.equal(all.version, 3)
    for (const alg of ['ES256', 'EdDSA']) t.equal(activeKey(all, alg).kid, nextKey(one, alg).kid, alg)
    await t.rejects(rotateRing(admin, { ...force, lanes: ['PS256'] }), { name: 'LaneNotFound' })
  },
)

t.test('a rotation of all lanes is refused as a whole while one of them is not safe', async (t) => {
  const { admin, clock, read } = await world(t as Test, ['ES256', 'EdDSA'])
  await rotateRing(admin, { ...me, lanes: ['EdDSA'] })
  const before = await read()
  await t.rejects(rotateRing(admin, me), { name: 'RotationUnsafe', safeFrom: T0 + DAY })
  t.same(await read(), before)
  await t.resolves(rotateRing(admin, { ...me, lanes: ['ES256'] }), 'this one is safe')
  clock.set(T0 + DAY)
  await t.resolves(rotateRing(admin, me))
})

t.test('each lane rotates automatically by its own age, and waits only for its own verifiers', async (t) => {
  const { admin, clock, read, store } = await world(t as Test)
  clock.tick(10 * DAY)
  await addLane(admin, 'EdDSA', me)
  const added = await read()
  clock.set(T0 + 30 * DAY)
  await maintainRing(admin, await read())
  const first = await read()
  t.equal(activeKey(first).kid, nextKey(added).kid)
  t.same(lane(first, 'EdDSA'), lane(added, 'EdDSA'), 'it signs from a day after its publication')
  await maintainRing(admin, first)
  clock.set(T0 + 41 * DAY - 1)
  await maintainRing(admin, await read())
  t.same(lane(await read(), 'EdDSA'), lane(added, 'EdDSA'))
  await store.verifiers.expect('orders', T0)
  await store.verifiers.record([{ name: 'orders', instance: '1', ringVersion: 2, seenAt: clock.now() }])
  clock.set(T0 + 41 * DAY)
  await maintainRing(admin, await read())
  t.equal(
    activeKey(await read(), 'EdDSA').kid,
    nextKey(added, 'EdDSA').kid,
    'orders has the next key of this lane',
  )
  clock.set(T0 + 60 * DAY)
  await store.verifiers.record([{ name: 'orders', instance: '1', ringVersion: 2, seenAt: clock.now() }])
  await maintainRing(admin, await read())
  t.equal(activeKey(await read()).kid, activeKey(first).kid, 'and does not have that of the other lane')
})

t.test('a revocation promotes the next key of the same lane', async (t) => {
  const { admin, read } = await world(t as Test, ['ES256', 'EdDSA'])
  const before = await read()
  const after = await revokeKey(admin, activeKey(before, 'EdDSA').kid, me)
  t.equal(activeKey(after, 'EdDSA').kid, nextKey(before, 'EdDSA').kid)
  t.equal(nextKey(after, 'EdDSA').alg, 'EdDSA')
  t.same(lane(after, 'ES256'), lane(before, 'ES256'))
})

t.test('the default lane is not removed, nor one that does not exist (docs/security.md Y2)', async (t) => {
  const { admin, read } = await world(t as Test, ['ES256', 'EdDSA'])
  const before = await read()
  await t.rejects(removeLane(admin, 'ES256', me), { name: 'LaneInUse' })
  await t.rejects(removeLane(admin, 'PS256', me), { name: 'LaneNotFound' })
  t.same(await read(), before)
})

t.test(
  'a key of a removed lane stays published until its last token has expired (docs/security.md H92)',
  async (t) => {
    const { admin, node, clock, read, audited } = await world(t as Test, ['ES256', 'EdDSA'])
    const { live, signer } = await node()
    const jwt = await signer.sign('at+jwt', { ...claims(clock.now()), exp: clock.now() + HOUR }, 'EdDSA')
    const { active, next } = lane(await read(), 'EdDSA') ?? {}
    const after = await removeLane(admin, 'EdDSA', me)
    t.same(laneNames(after), ['ES256'])
    t.equal(audited.at(-1), 'keys.lane_removed EdDSA')
    const find = (ring: Ring, kid?: string) => ring.keys.find((key) => key.kid === kid)
    t.match(find(after, active?.kid), { state: 'retiring', encryptedPrivateKey: null, stoppedAt: T0 })
    t.match(find(after, next?.kid), {
      state: 'retired',
      encryptedPrivateKey: null,
      leftAt: T0,
      signsFrom: null,
    })
    await live.sync()
    await t.resolves(compactVerify(jwt, createLocalJWKSet(JSON.parse(live.jwks().body))))
    await t.rejects(signer.sign('at+jwt', claims(clock.now()), 'EdDSA'), { name: 'StoreUnavailable' })
    const until = find(await read(), active?.kid)?.tokensUntil ?? 0
    clock.set(until + SKEW)
    await maintainRing(admin, await read())
    t.equal(find(await read(), active?.kid)?.state, 'retiring')
    clock.tick(1)
    await maintainRing(admin, await read())
    t.equal(find(await read(), active?.kid)?.state, 'retired')
    t.equal(
      audited.filter((line) => line.startsWith('keys.retired')).length,
      1,
      'only the key that had signed',
    )
  },
)

t.test('a lane that was removed and added again has new keys, and is safe when these are', async (t) => {
  const { admin, clock, read } = await world(t as Test, ['ES256', 'EdDSA'])
  const before = lane(await read(), 'EdDSA')
  await removeLane(admin, 'EdDSA', me)
  const after = lane(await addLane(admin, 'EdDSA', me), 'EdDSA')
  for (const key of [after?.active, after?.next])
    t.notOk([before?.active.kid, before?.next.kid].includes(key?.kid))
  await t.rejects(assertLaneSafe(admin, await read(), 'EdDSA'), {
    name: 'LaneUnsafe',
    safeFrom: clock.now() + DAY,
  })
})

t.test(
  'a node with an older view does not sign with a new default or in a new lane before it reads the ring',
  async (t) => {
    const { admin, administrator, node, clock, read } = await world(t as Test)
    const instant = await administrator({ policy: { ...POLICY, verifierCache: 0 } })
    const { live, signer } = await node()
    await addLane(instant, 'EdDSA', me)
    t.notMatch(live.jwks().body, 'EdDSA')
    const jwt = await signer.sign('at+jwt', claims(clock.now()), 'EdDSA')
    t.equal(decodeProtectedHeader(jwt).kid, activeKey(await read(), 'EdDSA').kid)
    await t.resolves(
      compactVerify(jwt, createLocalJWKSet(JSON.parse(live.jwks().body))),
      'what it signs with is in the JWKS that it serves',
    )
    await setDefaultLane(instant, 'EdDSA', me)
    t.equal(decodeProtectedHeader(await signer.sign('at+jwt', claims(clock.now()))).alg, 'ES256')
    clock.tick(11)
    t.equal(
      decodeProtectedHeader(await signer.sign('at+jwt', claims(clock.now()))).alg,
      'EdDSA',
      'after its lease',
    )
    await removeLane(admin, 'ES256', me)
    clock.tick(11)
    await t.rejects(signer.sign('at+jwt', claims(clock.now()), 'ES256'), { name: 'StoreUnavailable' })
  },
)

t.test(
  'a node that has not heard of a removal keeps the key published for what it signs (docs/security.md Q9)',
  async (t) => {
    const { admin, node, clock, read } = await world(t as Test, ['ES256', 'EdDSA'])
    const { signer } = await node()
    const { kid } = activeKey(await read(), 'EdDSA')
    await removeLane(admin, 'EdDSA', me)
    clock.tick(9)
    const jwt = await signer.sign('at+jwt', { ...claims(clock.now()), exp: clock.now() + DAY }, 'EdDSA')
    t.equal(decodeProtectedHeader(jwt).kid, kid)
    t.ok(((await read()).keys.find((key) => key.kid === kid)?.tokensUntil ?? 0) >= clock.now() + DAY)
  },
)

t.test(
  'eight concurrent additions of a lane make one, and so do changes of the default (docs/security.md Q9)',
  async (t) => {
    const { administrator, admin, clock, read, audited } = await world(t as Test)
    const all = await Promise.all(Array.from({ length: 8 }, () => administrator()))
    await Promise.all(all.map((deps) => addLane(deps, 'EdDSA', me)))
    t.equal((await read()).version, 2)
    t.equal((await read()).keys.length, 4)
    clock.tick(DAY)
    await Promise.all(all.map((deps) => setDefaultLane(deps, 'EdDSA', me)))
    t.equal((await read()).version, 3)
    const outcomes = await Promise.allSettled([
      removeLane(admin, 'ES256', me),
      ...all.map((deps) => removeLane(deps, 'ES256', me)),
    ])
    t.equal((await read()).version, 4)
    t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const event of ['lane_added', 'default_changed', 'lane_removed'])
      t.equal(audited.filter((line) => line.startsWith(`keys.${event}`)).length, 1, event)
  },
)

t.test(
  'a concurrent change of the default and a removal of the lane leave a default with a lane',
  async (t) => {
    const { administrator, admin, read } = await world(t as Test, ['ES256', 'EdDSA'])
    const other = await administrator()
    await Promise.allSettled([setDefaultLane(admin, 'EdDSA', me), removeLane(other, 'EdDSA', me)])
    const ring = await read()
    t.ok(laneNames(ring).includes(ring.defaultAlg))
    t.doesNotThrow(() => lanesOf(ring))
  },
)

t.test(
  'a change of the lanes that is killed after its commit is complete (docs/security.md Q1)',
  async (t) => {
    const { administrator, admin, clock, read } = await world(t as Test)
    const dying = await administrator({
      failpoint: () => {
        throw new Error('killed')
      },
    })
    await t.rejects(addLane(dying, 'EdDSA', me), /killed/)
    t.same(laneNames(await read()), ['ES256', 'EdDSA'])
    clock.tick(DAY)
    await t.rejects(setDefaultLane(dying, 'EdDSA', me), /killed/)
    t.equal((await read()).defaultAlg, 'EdDSA')
    await t.rejects(removeLane(dying, 'ES256', me), /killed/)
    t.same(laneNames(await read()), ['EdDSA'])
    t.equal((await addLane(admin, 'EdDSA', me)).version, 4, 'repeating a completed change changes nothing')
  },
)

t.test('a ring with one lane is as it was without lanes', async (t) => {
  const { admin, read } = await world(t as Test)
  const ring = await read()
  t.same(await ensureRing(admin, QUICK), ring)
  t.equal(ring.keys.length, 2)
  t.same(laneNames(ring), ['ES256'])
})
