import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { generateKey } from '../../src/keys/algorithms.ts'
import {
  createRootSealer,
  createStoredSealer,
  ensureRoot,
  openRoot,
  openRoots,
  ROOT_AHEAD,
} from '../../src/keys/data-keys.ts'
import { createSealer } from '../../src/keys/encryption.ts'
import { createMacs } from '../../src/keys/macs.ts'
import { createKeyHolder, fingerprintOf, type KeyHolder } from '../../src/keys/master-keys.ts'
import { ensureRing, rotateRing } from '../../src/keys/rotate.ts'
import { reseal } from '../../src/keys/rotate-master-key.ts'
import { createAges } from '../../src/node/cluster-clock.ts'
import { noFailpoint, systemRandom } from '../../src/system.ts'
import { testClock } from '../support/server/clock.ts'
import { openStore, QUICK, ringDeps, rootsOf } from '../support/server/keys.ts'
import { countQueries } from '../support/server/query-count.ts'

const [K1, K2, K3] = [randomBytes(32), randomBytes(32), randomBytes(32)] as const
const holding = (...keys: readonly Buffer[]): KeyHolder =>
  createKeyHolder(
    { keysDir: '/nonexistent', masterKey: keys[0] ?? null, masterKeyNext: keys[1] ?? null },
    systemRandom,
  )

/** A store, and what a node needs to decrypt its data keys. */
async function world(t: Test, ...keys: readonly Buffer[]) {
  const store = await openStore()
  t.teardown(() => store.db.close())
  const clock = testClock()
  const deps = (holder: KeyHolder) => ({
    store,
    clock,
    ages: createAges(clock, () => clock.now() * 1000),
    random: systemRandom,
    holder,
    failpoint: noFailpoint,
  })
  const holder = holding(...keys)
  const rotating = { ...ringDeps(store, clock), sealer: holder.sealer }
  return { store, clock, deps, holder, rotating }
}

/** Switches to the second of the keys that it has. */
async function change({ deps, holder }: Awaited<ReturnType<typeof world>>, compromised = false) {
  const to = holder.keys()[1]
  if (!to) throw new Error('no next key')
  return reseal({ ...deps(holder), audit: () => {} }, to, { actor: 'me', compromised })
}

t.test('concurrent creators of the first data key of a new store all get the same random key', async (t) => {
  const { store, deps } = await world(t as Test, K1)
  await Promise.all(Array.from({ length: 10 }, () => ensureRoot(deps(holding(K1)), null)))
  const stored = await store.roots.list()
  t.equal(stored.length, 1)
  const [root] = stored
  if (!root) throw new Error('no root')
  const secret = openRoot(holding(K1), root)
  t.equal(secret.length, 32)
  t.notOk(secret.equals(K1))
  t.throws(() => openRoot(holding(K2), root), {
    name: 'SealBroken',
    message: /^the root root:1 does not open/,
  })
  const [one, two] = [await openRoots(deps(holding(K1))), await openRoots(deps(holding(K1)))]
  t.ok(one.writing().key('keyturn/csrf/v1').equals(two.writing().key('keyturn/csrf/v1')))
})

t.test(
  'the first data key of a store with a key ring is the master key’s value, so that existing values stay valid',
  async (t) => {
    const { store, deps, rotating } = await world(t as Test, K2)
    const ring = await ensureRing(rotating, QUICK)
    // Of two available keys, the one that encrypts the key ring is used.
    await ensureRoot(deps(holding(K1, K2)), ring)
    const [root] = await store.roots.list()
    if (!root) throw new Error('no root')
    t.ok(openRoot(holding(K2), root).equals(K2))
    t.throws(() => openRoot(holding(K1), root), { name: 'SealBroken' })
    const roots = await openRoots(deps(holding(K2)))
    const before = rootsOf(K2).writing()
    t.ok(
      roots.writing().key('keyturn/refresh-token-mac/v1').equals(before.key('keyturn/refresh-token-mac/v1')),
    )
  },
)

t.test('a key ring that no master key decrypts gets no data key', async (t) => {
  const { store, deps, rotating } = await world(t as Test, K1)
  const ring = await ensureRing(rotating, QUICK)
  await t.rejects(ensureRoot(deps(holding(K2, K3)), ring), { name: 'SealBroken' })
  t.same(await store.roots.list(), [])
})

t.test('data keys that the master key does not decrypt are not used', async (t) => {
  const { deps } = await world(t as Test, K1)
  await ensureRoot(deps(holding(K1)), null)
  await t.rejects(openRoots(deps(holding(K2))), { name: 'SealBroken' })
})

t.test('a new data key is valid for reading at once, and current once every node has it', async (t) => {
  const here = await world(t as Test, K1, K2)
  await ensureRoot(here.deps(here.holder), null)
  await ensureRing(here.rotating, QUICK)
  const roots = await openRoots(here.deps(here.holder))
  const text = createMacs(roots, 'keyturn/csrf/v1').write('form')
  await change(here)
  t.equal(roots.accepted().length, 1, 'not polled yet')
  await roots.sync()
  const numbers = () => [roots.writing().number, ...roots.accepted().map(({ number }) => number)]
  t.same(numbers(), [1, 2, 1])
  here.clock.tick(ROOT_AHEAD - 1)
  t.same(numbers(), [1, 2, 1])
  here.clock.tick(1)
  t.same(numbers(), [2, 2, 1])
  here.clock.tick(-1_000_000)
  t.equal(roots.writing().number, 1, 'also with a clock that was set back')
  here.clock.tick(1_000_000)

  const macs = createMacs(roots, 'keyturn/csrf/v1')
  t.ok(macs.matches('form', text))
  t.not(macs.write('form'), text)
  t.ok(macs.matches('form', macs.write('form')))
  t.notOk(macs.matches('other form', text))
  t.notOk(macs.matches('form', 'é'.repeat(43)))
  t.notOk(
    createMacs(roots, 'keyturn/recovery-codes/v1').matches('form', text),
    'each purpose has its own key',
  )
})

t.test('an invalidated data key still decrypts stored values but validates no token', async (t) => {
  const here = await world(t as Test, K1, K2)
  await ensureRoot(here.deps(here.holder), null)
  await ensureRing(here.rotating, QUICK)
  const roots = await openRoots(here.deps(here.holder))
  const sealing = { purpose: 'keyturn/seal-flows/v1', what: 'the flow' } as const
  const [carried, kept] = [
    createRootSealer(roots, systemRandom, sealing),
    createStoredSealer(roots, systemRandom, sealing),
  ]
  const [flow, row] = [carried.seal('browser', 'flow'), kept.seal('user', 'secret')]
  await change(here, true)
  await roots.sync()
  t.same([roots.writing().number, roots.accepted().length, roots.known().length], [2, 1, 2], 'at once')
  t.throws(() => carried.open('browser', flow), { name: 'SealBroken' })
  t.equal(kept.open('user', row), 'secret')
  t.equal(carried.open('browser', carried.seal('browser', 'other')), 'other')
})

t.test('derived keys are kept when only the encryption of their data key changes', async (t) => {
  const here = await world(t as Test, K1, K2)
  await ensureRoot(here.deps(here.holder), null)
  await ensureRing(here.rotating, QUICK)
  const roots = await openRoots(here.deps(here.holder))
  const [before] = roots.known()
  t.equal(before?.key('keyturn/csrf/v1'), before?.key('keyturn/csrf/v1'), 'derived once')
  await change(here)
  await roots.sync()
  t.equal(roots.known()[1], before)
})

t.test('the cached data keys are refreshed only when they are too old for a decision', async (t) => {
  const { store, clock, deps } = await world(t as Test, K1)
  await ensureRoot(deps(holding(K1)), null)
  const roots = await openRoots(deps(holding(K1)))
  const queries = countQueries(store)
  t.equal(roots.current(), undefined)
  clock.tick(10)
  t.equal(roots.current(), undefined)
  t.equal(queries.count(), 0)
  clock.tick(1)
  await Promise.all([roots.current(), roots.current()])
  t.equal(queries.count(), 1, 'one poll for all waiting requests')
  t.equal(roots.current(), undefined)
})

t.test('a node that cannot decrypt a new data key gives no answer and keeps what it had', async (t) => {
  const here = await world(t as Test, K1, K2)
  await ensureRoot(here.deps(here.holder), null)
  await ensureRing(here.rotating, QUICK)
  const roots = await openRoots(here.deps(holding(K1)))
  await change(here)
  await t.rejects(roots.sync(), { name: 'StoreUnavailable' })
  t.equal(roots.writing().number, 1)
})

t.test('a master key rotation re-encrypts everything exactly once', async (t) => {
  const here = await world(t as Test, K1, K2)
  await ensureRoot(here.deps(here.holder), null)
  const ring = await ensureRing(here.rotating, QUICK)
  t.same(await change(here), { texts: 3 })
  t.same(await change(here), { texts: 0 }, 'it has reached its target')
  const now = await here.store.ring.read()
  t.equal(now?.version, ring.version + 1)
  for (const { kid, sealed } of now?.keys ?? []) {
    t.ok(createSealer(K2, systemRandom).open(kid, sealed ?? ''))
    t.throws(() => createSealer(K1, systemRandom).open(kid, sealed ?? ''), { name: 'SealBroken' })
  }
  t.equal((await here.store.roots.list()).length, 2)
})

t.test(
  'a master key rotation that races with a key rotation, or with another one, is still complete',
  async (t) => {
    const here = await world(t as Test, K1, K2)
    await ensureRoot(here.deps(here.holder), null)
    await ensureRing(here.rotating, QUICK)
    const force = { actor: 'me', force: true, ...QUICK }
    await Promise.all([
      change(here),
      rotateRing(here.rotating, force),
      change(here),
      rotateRing(here.rotating, force),
    ])
    const only = holding(K2)
    const ring = await here.store.ring.read()
    const sealed = (ring?.keys ?? []).filter((key) => key.sealed !== null)
    t.equal(sealed.length, 2)
    for (const key of sealed) t.ok(only.sealer.open(key.kid, key.sealed ?? ''))
    for (const root of await here.store.roots.list()) t.ok(openRoot(only, root))
    t.equal((await here.store.roots.list()).length, 2)
  },
)

t.test(
  'a signing key generated before a master key rotation is encrypted like the key ring it joins',
  async (t) => {
    const here = await world(t as Test, K1, K2)
    await ensureRoot(here.deps(here.holder), null)
    await ensureRing(here.rotating, QUICK)
    const slow = async (...args: Parameters<typeof generateKey>) => {
      const pair = await generateKey(...args)
      await change(here)
      return pair
    }
    const ring = await rotateRing({ ...here.rotating, generateKey: slow }, { actor: 'me', force: true })
    const sealed = ring.keys.filter((key) => key.sealed !== null)
    t.equal(sealed.length, 2)
    for (const key of sealed) t.ok(holding(K2).sealer.open(key.kid, key.sealed ?? ''), key.state)
  },
)

t.test(
  'one damaged key does not hide which master key encrypts the key ring, but prevents a rotation',
  async (t) => {
    const here = await world(t as Test, K1, K2)
    await ensureRoot(here.deps(here.holder), null)
    const ring = await ensureRing(here.rotating, QUICK)
    const active = ring.keys.find(({ state }) => state === 'active')
    await here.store.db.batch([
      {
        sql: `UPDATE ring_keys SET encrypted_private_key = 'v1.AAAA.BBBB' WHERE kid = $1`,
        params: [active?.kid ?? ''],
      },
    ])
    const damaged = await here.store.ring.read()
    if (!damaged) throw new Error('no ring')
    t.equal(here.holder.openerOf(damaged).fingerprint, fingerprintOf(K1))
    await t.rejects(change(here), { name: 'SealBroken', message: new RegExp(active?.kid ?? '') })
    t.same(await here.store.ring.read(), damaged)
    t.throws(() => holding(K2, K3).openerOf(damaged), {
      name: 'SealBroken',
      message: new RegExp(active?.kid ?? ''),
    })
  },
)

t.test('a fingerprint identifies a key and reveals nothing about it', async (t) => {
  t.equal(fingerprintOf(K1), fingerprintOf(Buffer.from(K1)))
  t.not(fingerprintOf(K1), fingerprintOf(K2))
  t.match(fingerprintOf(K1), /^[\w-]{12}$/)
  t.notOk(K1.toString('base64url').includes(fingerprintOf(K1).slice(0, 6)))
})

t.test(
  'master keys are reread from the folder while a process runs, and only a rotation retires one',
  async (t) => {
    const keysDir = join(t.testdir({}), 'keys')
    const write = (name: string, key: Buffer) =>
      writeFileSync(join(keysDir, name), `${key.toString('base64url')}\n`, { mode: 0o600 })
    mkdirSync(keysDir, { mode: 0o700 })
    write('master.key', K1)
    const holder = createKeyHolder({ keysDir, masterKey: null, masterKeyNext: null }, systemRandom)
    const held = () => holder.keys().map(({ fingerprint }) => fingerprint)
    t.same(held(), [fingerprintOf(K1)])
    write('master.key.next', K2)
    // Also without a poll, by a node that finds a text it cannot decrypt.
    t.equal(holder.sealer.open('kid', createSealer(K2, systemRandom).seal('kid', 'pem')), 'pem')
    holder.refresh()
    t.same(held(), [fingerprintOf(K1), fingerprintOf(K2)], 'the current one first')
    chmodSync(join(keysDir, 'master.key.next'), 0o644)
    holder.refresh()
    t.equal(held().length, 2, 'one readable by others is not accepted, and no loaded key is lost')
    chmodSync(join(keysDir, 'master.key.next'), 0o600)
    renameSync(join(keysDir, 'master.key.next'), join(keysDir, 'master.key'))
    holder.refresh()
    t.same(held(), [fingerprintOf(K2)])
    rmSync(join(keysDir, 'master.key'))
    holder.refresh()
    t.same(held(), [fingerprintOf(K2)], 'a deleted file is a problem only at the next start')
    write('master.key', K3)
    holder.refresh()
    t.same(held(), [fingerprintOf(K3), fingerprintOf(K2)], 'and so is one that was replaced by hand')
  },
)
