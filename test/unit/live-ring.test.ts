import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { compactVerify, createLocalJWKSet } from 'jose'
import t, { type Test } from 'tap'
import { type LiveRing, openLiveRing } from '../../src/keys/live-ring.ts'
import { activeKey, nextKey, SKEW } from '../../src/keys/ring.ts'
import { ensureRing, maintainRing, type RotateDeps, revokeKey, rotateRing } from '../../src/keys/rotate.ts'
import { signCompact } from '../../src/keys/sign-compact.ts'
import type { Ring, RingStore } from '../../src/store/contracts/ring.ts'
import type { Store } from '../../src/store/index.ts'
import { testClock } from '../support/server/clock.ts'
import {
  DAY,
  encryptPrivateKey,
  HOUR,
  MASTER_KEY,
  masterKeysOf,
  newKey,
  openStore,
  QUICK,
  ringDeps,
} from '../support/server/keys.ts'

const force = { actor: 'me', force: true }

/** The store’s key ring, with every call counted. */
function counted(store: Store) {
  const calls: Record<string, number> = {}
  const ring = Object.fromEntries(
    Object.entries(store.ring).map(([name, verb]) => [
      name,
      (...args: unknown[]) => {
        calls[name] = (calls[name] ?? 0) + 1
        return (verb as (...args: unknown[]) => unknown)(...args)
      },
    ]),
  ) as unknown as RingStore
  return { calls, store: { ...store, ring } }
}

/** A serving node, and an administrator on a separate connection. */
async function serving(t: Test) {
  const file = join(t.testdir(), 'keyturn.db')
  const clock = testClock(1_000_000)
  const [nodeStore, adminStore] = [await openStore(file), await openStore(file)]
  t.teardown(() => Promise.all([nodeStore.db.close(), adminStore.db.close()]))
  const administrator = ringDeps(adminStore, clock)
  const first = await ensureRing(administrator, QUICK)
  const { calls, store } = counted(nodeStore)
  const node = await openLiveRing({ ...ringDeps(store, clock), store }, first)
  const tokensUntil = async (kid: string) =>
    (await adminStore.ring.read())?.keys.find((key) => key.kid === kid)?.tokensUntil ?? 0
  return { node, clock, administrator, first, calls, store, tokensUntil }
}

const kids = (node: LiveRing) =>
  (JSON.parse(node.jwks().body) as { keys: { kid: string }[] }).keys.map((key) => key.kid)

t.test('the served JWKS is the key ring’s public keys as bytes with an ETag of these bytes', async (t) => {
  const { node, first } = await serving(t as Test)
  const { body, etag, cacheControl } = node.jwks()
  t.same(new Set(kids(node)), new Set(first.keys.map((key) => key.kid)))
  t.equal(etag, `"${createHash('sha256').update(body).digest('base64url')}"`)
  t.equal(cacheControl, 'public, max-age=300')
})

t.test('every node serves identical bytes for the same key ring', async (t) => {
  const { node, administrator, store, clock } = await serving(t as Test)
  await rotateRing(administrator, force)
  await node.sync()
  const other = await openLiveRing({ ...ringDeps(store, clock), store }, (await store.ring.read()) as Ring)
  t.same(other.jwks(), node.jwks())
})

t.test('signatures verify with the served JWKS', async (t) => {
  const { node, clock } = await serving(t as Test)
  const jws = await signCompact(await node.signingKey(clock.now() + 600), 'JWT', 'x')
  await t.resolves(compactVerify(jws, createLocalJWKSet(JSON.parse(node.jwks().body))))
})

t.test('a rotation by another process leads to a new JWKS, ETag and signing key', async (t) => {
  const { node, clock, administrator, first } = await serving(t as Test)
  const before = node.jwks()
  const rotated = await rotateRing(administrator, force)
  t.equal(node.jwks().body, before.body, 'not before it polls')
  await node.sync()
  t.not(node.jwks().etag, before.etag)
  t.same(new Set(kids(node)), new Set(rotated.keys.map((key) => key.kid)))
  t.equal((await node.signingKey(clock.now() + 600)).kid, nextKey(first).kid)
})

t.test('a poll costs one small query while nothing has changed', async (t) => {
  const { node, calls } = await serving(t as Test)
  for (let i = 0; i < 10; i += 1) await node.sync()
  await Promise.all(Array.from({ length: 10 }, () => node.sync()))
  t.notOk(calls.read, 'the key ring itself is not read')
})

t.test('before signing, the store is told how long the key is needed', async (t) => {
  const { node, clock, first, tokensUntil } = await serving(t as Test)
  for (const lifetime of [600, 60, DAY, 30 * DAY]) {
    const { kid } = await node.signingKey(clock.now() + lifetime)
    t.equal(kid, activeKey(first).kid)
    t.ok((await tokensUntil(kid)) >= clock.now() + lifetime, `${lifetime} s`)
  }
})

t.test('the key’s required lifetime is written once a minute, not once per token', async (t) => {
  const { node, clock, calls } = await serving(t as Test)
  await Promise.all(Array.from({ length: 50 }, () => node.signingKey(clock.now() + 600)))
  t.equal(calls.extendTokensUntil, 1, 'fifty at once share it')
  for (let i = 0; i < 60; i += 1) {
    clock.tick(1)
    await node.signingKey(clock.now() + 600)
  }
  t.equal(calls.extendTokensUntil, 1)
  clock.tick(1)
  await node.signingKey(clock.now() + 600)
  t.equal(calls.extendTokensUntil, 2)
})

t.test('for concurrent tokens the longest lifetime is recorded', async (t) => {
  const { node, clock, first, tokensUntil } = await serving(t as Test)
  await Promise.all([600, DAY, 60, 2 * DAY].map((lifetime) => node.signingKey(clock.now() + lifetime)))
  t.ok((await tokensUntil(activeKey(first).kid)) >= clock.now() + 2 * DAY)
})

t.test('nothing is signed if the lifetime cannot be recorded', async (t) => {
  const { node, clock, store, first } = await serving(t as Test)
  await store.db.close()
  await t.rejects(node.signingKey(clock.now() + 600), { name: 'StoreUnavailable' })
  t.equal(node.jwks().etag.length, 45, 'the JWKS needs no store')
  t.same(new Set(kids(node)), new Set(first.keys.map((key) => key.kid)))
})

t.test(
  'tokens within the recorded lifetime are signed while the store is down, until the lease ends',
  async (t) => {
    const { node, clock, store } = await serving(t as Test)
    const until = clock.now() + 600
    await node.signingKey(until)
    await store.db.close()
    clock.tick(10)
    await t.resolves(node.signingKey(until))
    clock.tick(1)
    await t.rejects(
      node.signingKey(until),
      { name: 'StoreUnavailable' },
      'its key may have been removed from the JWKS',
    )
  },
)

t.test('a resumed node polls the key ring before it signs (docs/security.md Q18)', async (t) => {
  for (const jump of [11, HOUR, -11, -DAY]) {
    const { node, clock, administrator, first } = await serving(t as Test)
    await node.signingKey(clock.now() + 30 * DAY)
    await revokeKey(administrator, activeKey(first).kid, { actor: 'me' })
    clock.tick(jump)
    t.equal((await node.signingKey(clock.now() + 600)).kid, nextKey(first).kid, `${jump} s`)
  }
})

t.test('a node unaware of a rotation signs with the old key only while that key is published', async (t) => {
  const { node, clock, administrator, first, tokensUntil } = await serving(t as Test)
  const old = activeKey(first).kid
  await rotateRing(administrator, force)
  const { kid } = await node.signingKey(clock.now() + DAY)
  t.equal(kid, old)
  t.ok((await tokensUntil(old)) >= clock.now() + DAY, 'and the key is kept as long as this token lives')

  clock.tick(HOUR)
  await maintainRing(administrator, (await administrator.store.ring.read()) as Ring)
  t.equal((await administrator.store.ring.read())?.keys.find((key) => key.kid === old)?.state, 'retiring')
})

t.test('a node unaware of a revocation learns of it when it extends the key’s lifetime', async (t) => {
  const { node, clock, administrator, first } = await serving(t as Test)
  await node.signingKey(clock.now() + 60)
  await revokeKey(administrator, activeKey(first).kid, { actor: 'me' })
  t.equal((await node.signingKey(clock.now() + DAY)).kid, nextKey(first).kid)
  t.notOk(kids(node).includes(activeKey(first).kid))
})

t.test('the private key of a rotated key is gone from the store and from memory', async (t) => {
  const { node, clock, administrator, first, store } = await serving(t as Test)
  const weak = new WeakRef((await node.signingKey(clock.now() + 600)).sign)
  await rotateRing(administrator, force)
  await node.sync()
  t.not((await node.signingKey(clock.now() + 600)).kid, activeKey(first).kid)
  const old = (await store.ring.read())?.keys.find((key) => key.kid === activeKey(first).kid)
  t.equal(old?.encryptedPrivateKey, null)
  t.ok(await collected(weak), 'nothing references it')
})

t.test('a retiring key that is needed longer is kept by a node that rotates', async (t) => {
  const { node, clock, administrator, first } = await serving(t as Test)
  const old = activeKey(first).kid
  await node.signingKey(clock.now() + 9 * HOUR)
  await rotateRing(administrator, force)
  await node.sync()
  const leaves = node.ring().keys.find((key) => key.kid === old)
  t.ok((leaves?.tokensUntil ?? 0) + SKEW >= clock.now() + 9 * HOUR + SKEW)
})

t.test('another master key does not decrypt the key ring (docs/security.md Q8)', async (t) => {
  const { store, clock, first } = await serving(t as Test)
  const masterKeys = masterKeysOf(Buffer.alloc(32, 2))
  await t.rejects(openLiveRing({ ...ringDeps(store, clock), masterKeys, store }, first), {
    name: 'DecryptionError',
  })
})

t.test(
  'a private key that belongs to another public key is detected before it signs (docs/security.md Q8)',
  async (t) => {
    const { store, clock, first } = await serving(t as Test)
    const masterKeys = masterKeysOf(MASTER_KEY)
    const stranger = await newKey()
    const pem = masterKeys.privateKeys.decrypt(stranger.kid, stranger.encryptedPrivateKey)
    const wrong = encryptPrivateKey(masterKeys, activeKey(first).kid, pem)
    const { kid } = activeKey(first)
    await store.db.batch([
      { sql: 'UPDATE ring_keys SET encrypted_private_key = $2 WHERE kid = $1', params: [kid, wrong] },
    ])
    const read = (await store.ring.read()) as Ring
    await t.rejects(openLiveRing({ ...ringDeps(store, clock), store }, read), { name: 'KeyMismatch' })
  },
)

t.test(
  'a running node keeps its last good key ring when a new one does not decrypt (docs/security.md Q8)',
  async (t) => {
    const { node, clock, administrator, first } = await serving(t as Test)
    // This administrator encrypts new keys under a master key that the node does not have, and can decrypt all keys, because a
    // rotation refuses a next key that it cannot decrypt.
    const masterKeys = masterKeysOf(Buffer.alloc(32, 2), MASTER_KEY)
    const [other] = masterKeys.list()
    if (!other) throw new Error('no master key')
    const otherMaster: RotateDeps = { ...administrator, masterKeys: { ...masterKeys, inUse: () => other } }
    await rotateRing(otherMaster, force)
    await rotateRing(otherMaster, force)
    const before = node.jwks()
    await t.rejects(node.sync(), { name: 'StoreUnavailable', cause: { name: 'DecryptionError' } })
    t.same(node.jwks(), before)
    clock.tick(11)
    await t.rejects(node.signingKey(clock.now() + 600), { name: 'StoreUnavailable' }, 'but signs no more')
    t.same(new Set(kids(node)), new Set(first.keys.map((key) => key.kid)))
  },
)

t.test('a store without a key ring is reported as a store failure', async (t) => {
  const { node, store } = await serving(t as Test)
  await store.db.batch([{ sql: 'DELETE FROM ring_keys' }, { sql: 'DELETE FROM ring' }])
  await t.rejects(node.sync(), { name: 'StoreUnavailable' })
})

t.test('max-age follows the clock, not the last poll', async (t) => {
  const { node, clock } = await serving(t as Test)
  clock.tick(30 * DAY - 10)
  t.equal(node.jwks().cacheControl, 'public, max-age=10')
})

t.test(
  'a process that dies after recording a lifetime leaves a key published too long, never too short',
  async (t) => {
    const { clock, store, first, tokensUntil } = await serving(t as Test)
    const failpoint = () => {
      throw new Error('killed')
    }
    const dying = await openLiveRing({ ...ringDeps(store, clock), store, failpoint }, first)
    await t.rejects(dying.signingKey(clock.now() + DAY), /killed/)
    t.ok((await tokensUntil(activeKey(first).kid)) >= clock.now() + DAY)
  },
)

/** Whether the object is unreferenced, after the garbage collector was asked a few times. */
async function collected(weak: WeakRef<object>): Promise<boolean> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  for (let i = 0; i < 20 && weak.deref() !== undefined; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    gc()
  }
  return weak.deref() === undefined
}
