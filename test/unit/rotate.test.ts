import { join } from 'node:path'
import t from 'tap'
import { bitsOf } from '../../src/keys/algorithms.ts'
import { beginFirstLanes } from '../../src/keys/new-keys.ts'
import { activeKey, nextKey } from '../../src/keys/ring.ts'
import {
  ensureRing,
  KeyNotFound,
  maintainRing,
  type RotateDeps,
  RotationUnsafe,
  revokeKey,
  rotateRing,
} from '../../src/keys/rotate.ts'
import type { KeyState, Ring } from '../../src/store/contracts/ring.ts'
import { testClock } from '../support/server/clock.ts'
import {
  DAY,
  HOUR,
  MASTER_KEY,
  masterKeysOf,
  openStore,
  POLICY,
  QUICK,
  ringDeps,
} from '../support/server/keys.ts'

interface Audited {
  readonly event: string
  readonly kid: string | undefined
  readonly actor: string | undefined
}

/** `nodes` processes, each with its own connection, on one database with an ES256 key ring. */
async function cluster(
  t: { testdir(): string; teardown(work: () => unknown): void },
  nodes = 1,
  overrides: Partial<RotateDeps> = {},
) {
  const file = join(t.testdir(), 'keyturn.db')
  const clock = testClock(1_000_000)
  const audited: Audited[] = []
  const all: RotateDeps[] = []
  for (let i = 0; i < nodes; i += 1) {
    const store = await openStore(file)
    t.teardown(() => store.db.close())
    const audit: RotateDeps['audit'] = (event, { kid, actor }) => audited.push({ event, kid, actor })
    all.push(ringDeps(store, clock, { audit, ...overrides }))
  }
  const [node] = all as [RotateDeps]
  const read = async () => sorted((await node.store.ring.read()) as Ring)
  return { all, node, clock, audited, read }
}

/** The store sorts in its own order. */
const sorted = (ring: Ring): Ring => ({
  ...ring,
  keys: [...ring.keys].sort((a, b) => (a.kid < b.kid ? -1 : 1)),
})

const count = (ring: Ring, state: KeyState) => ring.keys.filter((key) => key.state === state).length
const force = { actor: 'operator:me', force: true }

/** All at once, as processes that a timer woke at the same moment. */
const together = <T>(nodes: readonly RotateDeps[], work: (deps: RotateDeps) => Promise<T>) =>
  Promise.all(nodes.map(work))

t.test('a ring begins with keys whose generation began earlier, and they are handed out once', async (t) => {
  const { all, node } = await cluster(t, 2)
  const begin = () => beginFirstLanes(node, QUICK.algorithms)
  const firstLanes = begin()
  const generateKey = () => Promise.reject(new Error('nothing else is to be generated'))
  const ring = await ensureRing({ ...node, generateKey }, { ...QUICK, firstLanes })
  t.equal(ring.keys.length, 2)
  t.equal(firstLanes.take(), undefined)

  const unused = begin()
  t.same(await ensureRing(all[1] as RotateDeps, { ...QUICK, firstLanes: unused }), ring)
  t.equal(unused.take(), undefined, 'another node was first, and its ring counts: the keys are forgotten')
})

t.test('ensureRing creates the first key ring and returns it from then on', async (t) => {
  const { node, audited } = await cluster(t)
  const ring = await ensureRing(node, QUICK)
  t.same(await node.store.ring.read(), ring)
  t.same(await ensureRing(node, QUICK), ring)
  t.same(audited, [{ event: 'keys.created', kid: activeKey(ring).kid, actor: 'keyturn' }])
})

t.test('eight nodes starting on an empty store share one key ring (docs/security.md Q9)', async (t) => {
  const { all, read, audited } = await cluster(t, 8)
  const rings = await together(all, (deps) => ensureRing(deps, QUICK))
  for (const ring of rings) t.same(ring, await all[0]?.store.ring.read())
  t.equal((await read()).keys.length, 2)
  t.equal(audited.length, 1)
})

t.test('a new key ring has RSA 2048 keys by default, and a lane keeps its size', async (t) => {
  const { node } = await cluster(t)
  const ring = await ensureRing(node)
  for (const key of ring.keys) {
    t.equal(key.alg, 'RS256')
    t.equal(bitsOf(key.publicJwk), 2048)
  }
  const bigger = await rotateRing(node, { ...force, bits: 3072 })
  t.equal(bitsOf(nextKey(bigger).publicJwk), 3072)
  const third = await rotateRing(node, force)
  t.equal(bitsOf(nextKey(third).publicJwk), 3072, 'the last choice is kept')
})

t.test('a generated key is encrypted under its own kid and decrypts', async (t) => {
  const { node } = await cluster(t)
  const { privateKeys } = masterKeysOf(MASTER_KEY)
  for (const key of (await ensureRing(node, QUICK)).keys) {
    t.match(privateKeys.decrypt(key.kid, key.encryptedPrivateKey ?? ''), /^-----BEGIN PRIVATE KEY-----/)
  }
})

t.test(
  'an unsafe rotation is refused with the time from which it is safe, and changes nothing',
  async (t) => {
    const { node, clock, read } = await cluster(t)
    await ensureRing(node, QUICK)
    const ring = await rotateRing(node, { actor: 'me' })
    t.equal(ring.version, 2, 'the first rotation is safe')
    clock.tick(HOUR)
    await t.rejects(rotateRing(node, { actor: 'me' }), { name: 'RotationUnsafe', safeFrom: 1_000_000 + DAY })
    t.same(await read(), sorted(ring))
    clock.set(1_000_000 + DAY)
    t.equal((await rotateRing(node, { actor: 'me' })).version, 3)
  },
)

t.test('a forced rotation succeeds, and the audit trail records who forced it', async (t) => {
  const { node, audited } = await cluster(t)
  await ensureRing(node, QUICK)
  await rotateRing(node, force)
  const ring = await rotateRing(node, force)
  t.equal(ring.version, 3)
  t.same(audited.at(-1), { event: 'keys.rotated', kid: activeKey(ring).kid, actor: 'operator:me' })
})

t.test('eight concurrent rotations make one (docs/security.md Q9)', async (t) => {
  const { all, read, audited } = await cluster(t, 8)
  await ensureRing(all[0] as RotateDeps, QUICK)
  const rings = await together(all, (deps) => rotateRing(deps, force))
  const ring = await read()
  t.equal(ring.version, 2)
  t.same([count(ring, 'active'), count(ring, 'next'), count(ring, 'retiring')], [1, 1, 1])
  for (const seen of rings) t.same(sorted(seen), ring, 'the losers get the requested result')
  t.equal(audited.filter((line) => line.event === 'keys.rotated').length, 1)
})

t.test('eight nodes whose timers fire at once rotate once, even without a verifier cache', async (t) => {
  for (const verifierCache of [DAY, 0]) {
    const { all, node, clock, read } = await cluster(t, 8, { policy: { ...POLICY, verifierCache } })
    const ring = await ensureRing(node, QUICK)
    clock.tick(30 * DAY)
    t.same(new Set(await together(all, (deps) => maintainRing(deps, ring))), new Set([true]))
    t.equal((await read()).version, 2, `cache ${verifierCache}`)
    await together(all, (deps) => maintainRing(deps, ring))
    t.equal((await read()).version, 2, 'nor does one that still has the old key ring')
  }
})

t.test('eight nodes retire a key once', async (t) => {
  const { all, node, clock, read, audited } = await cluster(t, 8)
  await ensureRing(node, QUICK)
  const ring = await rotateRing(node, force)
  clock.tick(HOUR)
  await together(all, (deps) => maintainRing(deps, ring))
  await together(all, (deps) => maintainRing(deps, ring))
  t.equal((await read()).version, 3)
  t.equal(count(await read(), 'retired'), 1)
  t.equal(audited.filter((line) => line.event === 'keys.retired').length, 1)
})

t.test('a key whose lifetime was extended since the key ring was read is not retired', async (t) => {
  const { node, clock, read } = await cluster(t)
  await ensureRing(node, QUICK)
  const ring = await rotateRing(node, force)
  const [retiring] = ring.keys.filter((key) => key.state === 'retiring')
  await node.store.ring.extendTokensUntil(retiring?.kid ?? '', clock.now() + DAY)
  clock.tick(HOUR)
  t.equal(await maintainRing(node, ring), true, 'the caller’s copy is outdated')
  t.equal((await read()).version, 2, 'and nothing was due')
})

t.test('while nothing is due nothing is read or written', async (t) => {
  const { node } = await cluster(t)
  const ring = await ensureRing(node, QUICK)
  const blind = {
    ...node,
    store: { ring: { ...node.store.ring, read: () => t.fail('read') } },
  } as unknown as RotateDeps
  t.equal(await maintainRing(blind, ring), false)
})

t.test(
  'a next key revoked during the creation of its successor postpones the automatic rotation without an error',
  async (t) => {
    const { all, clock, read } = await cluster(t, 2)
    const [node, other] = all as [RotateDeps, RotateDeps]
    const ring = await ensureRing(node, QUICK)
    clock.tick(30 * DAY)
    // The first read of the rotation returns the old key ring; the second, after the key was generated, the new one.
    let reads = 0
    const slow: RotateDeps = {
      ...node,
      store: {
        ...node.store,
        ring: {
          ...node.store.ring,
          async read() {
            reads += 1
            if (reads === 2) await revokeKey(other, nextKey(ring).kid, { actor: 'me' })
            return node.store.ring.read()
          },
        },
      },
    }
    t.equal(await maintainRing(slow, ring), true)
    t.equal(
      activeKey(await read()).kid,
      activeKey(ring).kid,
      'not rotated: no verifier has the new next key yet',
    )
    t.equal(count(await read(), 'revoked'), 1)
  },
)

t.test('a rotation concurrent with signing keeps the recorded token lifetime', async (t) => {
  const { node, clock, read } = await cluster(t)
  const ring = await ensureRing(node, QUICK)
  const { kid } = activeKey(ring)
  const until = clock.now() + HOUR
  await Promise.all([
    rotateRing(node, force),
    ...Array.from({ length: 100 }, (_, i) => node.store.ring.extendTokensUntil(kid, until + i)),
  ])
  const key = (await read()).keys.find((one) => one.kid === kid)
  t.match(key, { state: 'retiring', tokensUntil: until + 99 })
})

t.test('revoking the active key removes it, promotes the next key and is audited', async (t) => {
  const { node, audited } = await cluster(t)
  const ring = await ensureRing(node, QUICK)
  const after = await revokeKey(node, activeKey(ring).kid, { actor: 'operator:me' })
  t.equal(activeKey(after).kid, nextKey(ring).kid)
  t.same(audited.at(-1), { event: 'keys.revoked', kid: activeKey(ring).kid, actor: 'operator:me' })
})

t.test('eight concurrent revocations of one key make one', async (t) => {
  for (const which of [activeKey, nextKey]) {
    const { all, node, read } = await cluster(t, 8)
    const ring = await ensureRing(node, QUICK)
    const rings = await together(all, (deps) => revokeKey(deps, which(ring).kid, { actor: 'me' }))
    const now = await read()
    t.equal(now.version, 2)
    t.same([count(now, 'active'), count(now, 'next'), count(now, 'revoked')], [1, 1, 1])
    for (const seen of rings) t.same(sorted(seen), now)
  }
})

t.test('concurrent revocations of the active and the next key remove both', async (t) => {
  const { all, node, read } = await cluster(t, 2)
  const ring = await ensureRing(node, QUICK)
  const bad = [activeKey(ring).kid, nextKey(ring).kid]
  await Promise.all(bad.map((kid, i) => revokeKey(all[i] as RotateDeps, kid, { actor: 'me' })))
  const now = await read()
  t.same([count(now, 'active'), count(now, 'next'), count(now, 'revoked')], [1, 1, 2])
  t.notOk(bad.includes(activeKey(now).kid))
})

t.test('a concurrent revocation and rotation both take effect', async (t) => {
  const { all, node, read } = await cluster(t, 2)
  const ring = await ensureRing(node, QUICK)
  const bad = activeKey(ring).kid
  const [one, two] = all as [RotateDeps, RotateDeps]
  await Promise.all([revokeKey(one, bad, { actor: 'me' }), rotateRing(two, force)])
  const now = await read()
  t.equal(now.keys.find((key) => key.kid === bad)?.state, 'revoked')
  t.same([count(now, 'active'), count(now, 'next')], [1, 1])
})

t.test('an unpublished key cannot be revoked', async (t) => {
  const { node, read } = await cluster(t)
  const ring = await ensureRing(node, QUICK)
  const { kid } = activeKey(ring)
  await revokeKey(node, kid, { actor: 'me' })
  const before = await read()
  for (const name of [kid, 'unknown', '']) {
    await t.rejects(revokeKey(node, name, { actor: 'me' }), KeyNotFound, name)
  }
  t.same(await read(), before)
})

t.test('keys that stop signing lose their private key in the store', async (t) => {
  const { node, clock, read } = await cluster(t)
  const ring = await ensureRing(node, QUICK)
  await rotateRing(node, force)
  await revokeKey(node, nextKey(ring).kid, { actor: 'me' })
  await rotateRing(node, force)
  clock.tick(HOUR)
  await maintainRing(node, await read())
  for (const key of (await read()).keys) {
    const signs = key.state === 'active' || key.state === 'next'
    t.equal(key.encryptedPrivateKey !== null, signs, key.state)
  }
})

t.test(
  'a rotation killed before its commit changes nothing, and one killed after it is complete (docs/security.md Q1)',
  async (t) => {
    for (const [name, version] of [
      ['rotate:generated', 1],
      ['rotate:committed', 2],
    ] as const) {
      const { node, read } = await cluster(t)
      await ensureRing(node, QUICK)
      const dying = {
        ...node,
        failpoint: (reached: string) => {
          if (reached === name) throw new Error('killed')
        },
      }
      await t.rejects(rotateRing(dying, force), /killed/)
      t.equal((await read()).version, version, name)
    }
  },
)

t.test('RotationUnsafe states the safe time in words', async (t) => {
  t.match(new RotationUnsafe(0).message, '1970-01-01T00:00:00.000Z')
})
