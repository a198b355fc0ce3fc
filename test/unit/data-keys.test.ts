import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { generateKey } from '../../src/keys/algorithms.ts'
import {
  CURRENT_AFTER,
  createStorageCipher,
  createTransitCipher,
  decryptDataKey,
  ensureDataKey,
  openDataKeys,
} from '../../src/keys/data-keys.ts'
import { createMacs } from '../../src/keys/macs.ts'
import { createMasterKeys, type MasterKeys, masterKeyId } from '../../src/keys/master-keys.ts'
import { ensureRing, rotateRing } from '../../src/keys/rotate.ts'
import { rotateMasterKey } from '../../src/keys/rotate-master-key.ts'
import { createAges } from '../../src/node/cluster-clock.ts'
import { noFailpoint, systemRandom } from '../../src/system.ts'
import { testClock } from '../support/server/clock.ts'
import {
  dataKeysOf,
  encryptPrivateKey,
  masterKeysOf,
  openStore,
  QUICK,
  ringDeps,
} from '../support/server/keys.ts'
import { countQueries } from '../support/server/query-count.ts'

const [K1, K2, K3] = [randomBytes(32), randomBytes(32), randomBytes(32)] as const

function currentOf(masterKeys: MasterKeys) {
  const [masterKey] = masterKeys.list()
  if (!masterKey) throw new Error('no master key')
  return masterKey
}

/** A store, and what a node needs to read its data keys. */
async function world(t: Test, current: Buffer, next: Buffer | null = null) {
  const store = await openStore()
  t.teardown(() => store.db.close())
  const clock = testClock()
  const deps = (masterKeys: MasterKeys) => ({
    store,
    clock,
    ages: createAges(clock, () => clock.now() * 1000),
    random: systemRandom,
    masterKeys,
    failpoint: noFailpoint,
  })
  const masterKeys = masterKeysOf(current, next)
  const rotating = { ...ringDeps(store, clock), masterKeys }
  return { store, clock, deps, masterKeys, rotating }
}

/** A store with a data key and a ring, and a node that has the next master key too. */
async function started(t: Test) {
  const w = await world(t, K1, K2)
  await ensureDataKey(w.deps(w.masterKeys), currentOf(w.masterKeys))
  const ring = await ensureRing(w.rotating, QUICK)
  return { ...w, ring, dataKeys: await openDataKeys(w.deps(w.masterKeys)) }
}

/** Moves the store to the second of the master keys. */
async function change({ deps, masterKeys }: Awaited<ReturnType<typeof world>>, compromised = false) {
  const to = masterKeys.list()[1]
  if (!to) throw new Error('no next key')
  return rotateMasterKey(
    { ...deps(masterKeys), audit: () => {}, auditLog: { signedWith: async () => null } },
    to,
    { actor: 'me', compromised },
  )
}

t.test('concurrent creators of the first data key of a new store all get the same random key', async (t) => {
  const { store, deps } = await world(t as Test, K1)
  const create = () => {
    const masterKeys = masterKeysOf(K1)
    return ensureDataKey(deps(masterKeys), currentOf(masterKeys))
  }
  await Promise.all(Array.from({ length: 10 }, create))
  const stored = await store.dataKeys.list()
  t.equal(stored.length, 1)
  const [dataKey] = stored
  if (!dataKey) throw new Error('no data key')
  const secret = decryptDataKey(masterKeysOf(K1), dataKey)
  t.equal(secret.length, 32)
  t.notOk(secret.equals(K1))
  t.throws(() => decryptDataKey(masterKeysOf(K2), dataKey), {
    name: 'DecryptionError',
    message: /^the data key 1 cannot be decrypted: it is encrypted under the master key /,
  })
  const [one, two] = [await openDataKeys(deps(masterKeysOf(K1))), await openDataKeys(deps(masterKeysOf(K1)))]
  t.ok(one.current().key('keyturn/csrf/v1').equals(two.current().key('keyturn/csrf/v1')))
})

t.test('data keys that the master key does not decrypt are not used', async (t) => {
  const { deps } = await started(t as Test)
  await t.rejects(openDataKeys(deps(masterKeysOf(K2))), { name: 'DecryptionError' })
})

t.test('a new data key is valid for reading at once, and current once every node has it', async (t) => {
  const w = await started(t as Test)
  const { dataKeys } = w
  const mac = createMacs(dataKeys, 'keyturn/csrf/v1').create('form')
  await change(w)
  t.equal(dataKeys.valid().length, 1, 'not read yet')
  await dataKeys.sync()
  const numbers = () => [dataKeys.current().number, ...dataKeys.valid().map(({ number }) => number)]
  t.same(numbers(), [1, 2, 1])
  w.clock.tick(CURRENT_AFTER - 1)
  t.same(numbers(), [1, 2, 1])
  w.clock.tick(1)
  t.same(numbers(), [2, 2, 1])
  w.clock.tick(-1_000_000)
  t.equal(dataKeys.current().number, 1, 'also by a clock that was set back')
  w.clock.tick(1_000_000)

  const macs = createMacs(dataKeys, 'keyturn/csrf/v1')
  t.match(mac, /^v1\.1\.[\w-]{43}$/)
  t.ok(macs.verify('form', mac))
  t.match(macs.create('form'), /^v1\.2\.[\w-]{43}$/)
  t.ok(macs.verify('form', macs.create('form')))
  t.notOk(macs.verify('other form', mac))
  t.notOk(
    createMacs(dataKeys, 'keyturn/recovery-codes/v1').verify('form', mac),
    'a purpose has a key of its own',
  )
})

t.test('a MAC with another or an unknown key id, truncated, or spelled differently is refused', async (t) => {
  const macs = createMacs(dataKeysOf(K2, K1), 'keyturn/csrf/v1')
  const mac = macs.create('form')
  t.match(mac, /^v1\.2\./)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const spelling = alphabet[alphabet.indexOf(mac.at(-1) ?? '') ^ 1]
  const bad = [
    mac.replace('v1.2.', 'v1.1.'),
    mac.replace('v1.2.', 'v1.3.'),
    mac.replace('v1.2.', 'v1.02.'),
    mac.replace('v1.2.', 'v1..'),
    mac.replace('v1.', 'v2.'),
    mac.slice(3),
    `${mac.slice(0, -1)}${spelling}`,
    `${mac}=`,
    `v1.2.${'é'.repeat(43)}`,
    '',
  ]
  t.same(
    [...bad, ...[...mac].map((_, length) => mac.slice(0, length))].filter((one) => macs.verify('form', one)),
    [],
  )
})

t.test('an invalidated data key still decrypts stored values but validates no token', async (t) => {
  const w = await started(t as Test)
  const { dataKeys } = w
  const use = { purpose: 'keyturn/flows/v1', what: 'the flow' } as const
  const [transit, storage] = [
    createTransitCipher(dataKeys, systemRandom, use),
    createStorageCipher(dataKeys, systemRandom, use),
  ]
  const [flow, row] = [transit.encrypt('browser', 'flow'), storage.encrypt('user', 'secret')]
  await change(w, true)
  await dataKeys.sync()
  t.same([dataKeys.current().number, dataKeys.valid().length, dataKeys.all().length], [2, 1, 2], 'at once')
  t.throws(() => transit.decrypt('browser', flow), {
    name: 'DecryptionError',
    message: /it is encrypted under the data key 1, which is not available here$/,
  })
  t.equal(storage.decrypt('user', row), 'secret')
  t.equal(transit.decrypt('browser', transit.encrypt('browser', 'other')), 'other')
})

t.test('derived keys are kept when only the encryption of their data key changes', async (t) => {
  const w = await started(t as Test)
  const [before] = w.dataKeys.all()
  t.equal(before?.key('keyturn/csrf/v1'), before?.key('keyturn/csrf/v1'), 'derived once')
  await change(w)
  await w.dataKeys.sync()
  t.equal(w.dataKeys.all()[1], before)
})

t.test('the cached data keys are refreshed only when they are too old for a decision', async (t) => {
  const { store, clock, dataKeys } = await started(t as Test)
  const queries = countQueries(store)
  t.equal(dataKeys.refreshIfStale(), undefined)
  clock.tick(10)
  t.equal(dataKeys.refreshIfStale(), undefined)
  t.equal(queries.count(), 0)
  clock.tick(1)
  await Promise.all([dataKeys.refreshIfStale(), dataKeys.refreshIfStale()])
  t.equal(queries.count(), 1, 'one query for all that wait')
  t.equal(dataKeys.refreshIfStale(), undefined)
})

t.test('a node that cannot decrypt a new data key gives no answer and keeps what it had', async (t) => {
  const w = await started(t as Test)
  const dataKeys = await openDataKeys(w.deps(masterKeysOf(K1)))
  await change(w)
  await t.rejects(dataKeys.sync(), { name: 'StoreUnavailable' })
  t.equal(dataKeys.current().number, 1)
})

t.test('a master key rotation re-encrypts everything exactly once', async (t) => {
  const w = await started(t as Test)
  t.equal(await change(w), 3)
  t.equal(await change(w), 0, 'the store is under the new master key already')
  const now = await w.store.ring.read()
  t.equal(now?.version, w.ring.version + 1)
  for (const { kid, encryptedPrivateKey: text } of now?.keys ?? []) {
    t.ok(masterKeysOf(K2).privateKeys.decrypt(kid, text ?? ''))
    t.throws(() => masterKeysOf(K1).privateKeys.decrypt(kid, text ?? ''), { name: 'DecryptionError' })
  }
  t.equal((await w.store.dataKeys.list()).length, 2)
})

t.test(
  'a master key rotation that races with a key rotation, or with another one, is still complete',
  async (t) => {
    const w = await started(t as Test)
    const force = { actor: 'me', force: true }
    await Promise.all([change(w), rotateRing(w.rotating, force), change(w), rotateRing(w.rotating, force)])
    const only = masterKeysOf(K2)
    const ring = await w.store.ring.read()
    const keys = (ring?.keys ?? []).filter((key) => key.encryptedPrivateKey !== null)
    t.equal(keys.length, 2)
    for (const key of keys) t.ok(only.privateKeys.decrypt(key.kid, key.encryptedPrivateKey ?? ''))
    for (const dataKey of await w.store.dataKeys.list()) t.ok(decryptDataKey(only, dataKey))
    t.equal((await w.store.dataKeys.list()).length, 2)
  },
)

t.test(
  'a signing key generated before a master key rotation is encrypted like the key ring it joins',
  async (t) => {
    const w = await started(t as Test)
    const slow = async (...args: Parameters<typeof generateKey>) => {
      const pair = await generateKey(...args)
      await change(w)
      return pair
    }
    const ring = await rotateRing({ ...w.rotating, generateKey: slow }, { actor: 'me', force: true })
    const keys = ring.keys.filter((key) => key.encryptedPrivateKey !== null)
    t.equal(keys.length, 2)
    for (const key of keys)
      t.ok(masterKeysOf(K2).privateKeys.decrypt(key.kid, key.encryptedPrivateKey ?? ''), key.state)
  },
)

t.test(
  'one damaged key does not hide which master key encrypts the key ring, but prevents a rotation',
  async (t) => {
    const w = await started(t as Test)
    const active = w.ring.keys.find(({ state }) => state === 'active')
    const kid = active?.kid ?? ''
    const text = active?.encryptedPrivateKey ?? ''
    for (const bad of ['v1.AAAA.BBBB', text.slice(0, -8), text.replace(masterKeyId(K1), 'A'.repeat(12))]) {
      await w.store.db.batch([
        { sql: 'UPDATE ring_keys SET encrypted_private_key = $1 WHERE kid = $2', params: [bad, kid] },
      ])
      const damaged = await w.store.ring.read()
      if (!damaged) throw new Error('no ring')
      t.equal(w.masterKeys.inUse(damaged).id, masterKeyId(K1))
      await t.rejects(change(w), { name: 'DecryptionError', message: new RegExp(kid) })
      t.same(await w.store.ring.read(), damaged)
    }
  },
)

t.test(
  'a ring under a master key that is not available is refused, and the message names the key',
  async (t) => {
    const { ring } = await started(t as Test)
    t.throws(() => masterKeysOf(K2, K3).inUse(ring), {
      name: 'DecryptionError',
      message: new RegExp(`^the private key .+ is encrypted under the master key ${masterKeyId(K1)},`),
    })
    const none = { ...ring, keys: ring.keys.map((key) => ({ ...key, encryptedPrivateKey: 'x' })) }
    t.throws(() => masterKeysOf(K1).inUse(none), { message: /cannot be decrypted: the text is damaged$/ })
  },
)

t.test('the id of a master key identifies it and reveals nothing about it', async (t) => {
  t.equal(masterKeyId(K1), masterKeyId(Buffer.from(K1)))
  t.not(masterKeyId(K1), masterKeyId(K2))
  t.match(masterKeyId(K1), /^[\w-]{12}$/)
  t.notOk(K1.toString('base64url').includes(masterKeyId(K1).slice(0, 6)))
})

t.test(
  'master keys are reread from the folder while a process runs, and only a rotation retires one',
  async (t) => {
    const keysDir = join(t.testdir({}), 'keys')
    const write = (name: string, key: Buffer) =>
      writeFileSync(join(keysDir, name), `${key.toString('base64url')}\n`, { mode: 0o600 })
    mkdirSync(keysDir, { mode: 0o700 })
    write('master.key', K1)
    const masterKeys = createMasterKeys({ keysDir, masterKey: null, masterKeyNext: null }, systemRandom)
    const held = () => masterKeys.list().map(({ id }) => id)
    t.same(held(), [masterKeyId(K1)])
    write('master.key.next', K2)
    // Also without a refresh, when a text names a master key that is not known yet.
    const text = encryptPrivateKey(masterKeysOf(K2), 'kid', 'pem')
    t.equal(masterKeys.privateKeys.decrypt('kid', text), 'pem')
    masterKeys.refresh()
    t.same(held(), [masterKeyId(K1), masterKeyId(K2)], 'the current master key comes first')
    chmodSync(join(keysDir, 'master.key.next'), 0o644)
    masterKeys.refresh()
    t.equal(held().length, 2, 'a file that others can read is not used, and no key is lost')
    chmodSync(join(keysDir, 'master.key.next'), 0o600)
    renameSync(join(keysDir, 'master.key.next'), join(keysDir, 'master.key'))
    masterKeys.refresh()
    t.same(held(), [masterKeyId(K2)])
    rmSync(join(keysDir, 'master.key'))
    masterKeys.refresh()
    t.same(held(), [masterKeyId(K2)], 'a deleted file is reported by the next start')
    write('master.key', K3)
    masterKeys.refresh()
    t.same(held(), [masterKeyId(K3), masterKeyId(K2)], 'a file that was replaced by hand is reported too')
  },
)
