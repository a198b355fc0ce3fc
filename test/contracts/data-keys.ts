import type { MasterKeyRotation, StoredDataKey } from '../../src/store/contracts/data-keys.ts'
import { LIST_SIZE } from '../../src/store/contracts/status.ts'
import type { Store } from '../../src/store/index.ts'
import { client, user } from '../support/server/seed.ts'
import { session } from './client-sessions.ts'
import { type Contract, winners } from './contract.ts'
import { ring } from './ring.ts'

const dataKey = (overrides: Partial<StoredDataKey> = {}): StoredDataKey => ({
  number: 1,
  encrypted: 'v1.old.1',
  createdAt: 100,
  currentFrom: 100,
  firstStatusList: 0,
  invalidated: false,
  ...overrides,
})

/** A store with a ring and a data key, and what encrypts both under another master key. */
async function filledStore(store: Store): Promise<MasterKeyRotation> {
  await store.ring.create(ring())
  await store.dataKeys.create(dataKey())
  return {
    ring: ring(),
    privateKeys: new Map([
      ['active', 'v1.other.a'],
      ['next', 'v1.other.n'],
    ]),
    dataKeys: [dataKey()],
    encryptedDataKeys: new Map([[1, 'v1.other.1']]),
  }
}

const newDataKey = { number: 2, encrypted: 'v1.other.2', createdAt: 200, currentFrom: 320 }

export const dataKeysContract: Contract = {
  'of fifty concurrent creations of the first data key exactly one succeeds, and no later one': async (
    t,
    store,
    database,
  ) => {
    t.same(await store.dataKeys.list(), [])
    const other = await database.connect()
    const create = (i: number) => (i % 2 ? store : other).dataKeys.create(dataKey({ encrypted: `v1.${i}` }))
    t.same(await winners(50, create), { won: 1, lost: 49 })
    const [only] = await store.dataKeys.list()
    t.match(only, { number: 1, createdAt: 100, currentFrom: 100, firstStatusList: 0, invalidated: false })
    t.equal(await store.dataKeys.create(dataKey({ number: 7 })), false, 'another first data key is refused')
    t.same(await other.dataKeys.list(), [only])
  },

  'a rotation encrypts everything under the other master key, as one new version of the ring': async (
    t,
    store,
  ) => {
    const change = await filledStore(store)
    const before = await store.revisions.read()
    t.equal(await store.dataKeys.rotateMasterKey(change), true)
    const now = await store.ring.read()
    t.same(
      now?.keys.map((key) => key.encryptedPrivateKey),
      ['v1.other.a', 'v1.other.n'],
    )
    t.equal(now?.version, 2)
    t.same(await store.dataKeys.list(), [dataKey({ encrypted: 'v1.other.1' })])
    const after = await store.revisions.read()
    t.ok(after.dataKeys > before.dataKeys, 'running nodes see a new version')
    t.equal(
      await store.dataKeys.rotateMasterKey(change),
      false,
      'the ring is no longer the one that was read',
    )
  },

  'a rotation changes nothing if a data key, a private key or the ring is not as it was read': async (
    t,
    store,
  ) => {
    const change = await filledStore(store)
    const other = { ...ring(), keys: ring().keys.map((key) => ({ ...key, encryptedPrivateKey: 'v1.else' })) }
    const refused: MasterKeyRotation[] = [
      { ...change, dataKeys: [dataKey({ encrypted: 'v1.else' })] },
      {
        ...change,
        dataKeys: [dataKey(), dataKey({ number: 2 })],
        encryptedDataKeys: new Map([...change.encryptedDataKeys, [2, 'v1.x']]),
      },
      { ...change, ring: other },
      { ...change, ring: { ...ring(), version: 9 } },
    ]
    for (const one of refused) t.equal(await store.dataKeys.rotateMasterKey(one), false)
    t.same(await store.ring.read(), ring())
    t.same(await store.dataKeys.list(), [dataKey()])
    t.equal((await store.revisions.read()).dataKeys, 2)
  },

  'a rotation moves the head of the audit log in the same batch, and changes nothing if the head has moved':
    async (t, store) => {
      const change = await filledStore(store)
      const { head: expected } = await store.auditRows.state()
      if (!expected) throw new Error('no head')
      const head = { ...expected, mac: 'v1.2.mac' }
      const moved = { ...expected, acceptedAt: 5 }
      t.equal(
        await store.dataKeys.rotateMasterKey({ ...change, auditHead: { expected: moved, head } }),
        false,
      )
      t.same(await store.ring.read(), ring())
      t.equal(await store.dataKeys.rotateMasterKey({ ...change, auditHead: { expected, head } }), true)
      t.same((await store.auditRows.state()).head, head)
    },

  'a rotation gives no private key to a ring key that has none': async (t, store) => {
    const change = await filledStore(store)
    const privateKeys = new Map([...change.privateKeys, ['retired', 'v1.x']])
    t.equal(await store.dataKeys.rotateMasterKey({ ...change, privateKeys }), false)
    t.equal((await store.ring.read())?.version, 1)
  },

  'of fifty concurrent rotations exactly one succeeds, completely': async (t, store, database) => {
    const change = await filledStore(store)
    const other = await database.connect()
    const to = (i: number): MasterKeyRotation => ({
      ...change,
      privateKeys: new Map([
        ['active', `v1.${i}.a`],
        ['next', `v1.${i}.n`],
      ]),
      encryptedDataKeys: new Map([[1, `v1.${i}.1`]]),
    })
    t.same(await winners(50, (i) => (i % 2 ? store : other).dataKeys.rotateMasterKey(to(i))), {
      won: 1,
      lost: 49,
    })
    const [only] = await store.dataKeys.list()
    const by = only?.encrypted.split('.')[1]
    t.same(
      (await store.ring.read())?.keys.map((key) => key.encryptedPrivateKey),
      [`v1.${by}.a`, `v1.${by}.n`],
    )
  },

  'a new data key begins with unused status lists of both kinds': async (t, store) => {
    const change = await filledStore(store)
    await store.status.lease('session', LIST_SIZE, 900)
    await store.status.lease('session', 1, 900)
    const old = await store.status.lease('token', 1, 900)
    t.equal(await store.dataKeys.rotateMasterKey({ ...change, newDataKey }), true)
    const dataKeys = await store.dataKeys.list()
    const { firstStatusList = 0 } = dataKeys[1] ?? {}
    t.same(dataKeys, [
      dataKey({ encrypted: 'v1.other.1' }),
      { ...newDataKey, firstStatusList, invalidated: false },
    ])
    for (const kind of ['session', 'token'] as const) {
      const { list, start } = await store.status.lease(kind, 1, 900)
      t.ok(list >= firstStatusList, kind)
      t.equal(start, 0)
    }
    t.ok(old.list < firstStatusList)
    t.ok(firstStatusList > 2, 'the list was not in use')
  },

  'old data keys are invalidated with a rotation or afterwards; the new one is not': async (t, store) => {
    const change = await filledStore(store)
    await store.dataKeys.rotateMasterKey({ ...change, newDataKey, invalidateOld: true })
    t.same(
      (await store.dataKeys.list()).map(({ invalidated }) => invalidated),
      [true, false],
    )
    const before = await store.revisions.read()
    await store.dataKeys.invalidateBefore(2)
    t.same(
      (await store.dataKeys.list()).map(({ invalidated }) => invalidated),
      [true, false],
    )
    t.ok((await store.revisions.read()).dataKeys > before.dataKeys)
  },

  'a data key is deleted, but never the newest one': async (t, store) => {
    const change = await filledStore(store)
    t.equal(await store.dataKeys.remove(1), false)
    await store.dataKeys.rotateMasterKey({ ...change, newDataKey })
    t.equal(await store.dataKeys.remove(2), false)
    const before = await store.revisions.read()
    t.equal(await store.dataKeys.remove(1), true)
    t.equal(await store.dataKeys.remove(1), false)
    t.same(
      (await store.dataKeys.list()).map(({ number }) => number),
      [2],
    )
    t.ok((await store.revisions.read()).dataKeys > before.dataKeys)
    t.equal(await store.dataKeys.create(dataKey()), false, 'no other first data key can be created')
  },

  'what depends on an older data key is counted: sessions, second factors, codes, status indices': async (
    t,
    store,
  ) => {
    const change = await filledStore(store)
    const [alice, bob] = [await user({ roles: [] }), await user({ username: 'bob', roles: [] })]
    await store.users.insert(alice)
    await store.users.insert(bob)
    await store.clients.insert(client())
    const of = (userId: string) => ({ userId, clientId: client().id, expiresAt: 9000, idleExpiresAt: 900 })
    await store.clientSessions.insert(session({ ...of(alice.id), id: 'old', rotatedAt: 150 }))
    await store.clientSessions.insert(session({ ...of(alice.id), id: 'used since', rotatedAt: 500 }))
    await store.clientSessions.insert(
      session({ ...of(alice.id), id: 'over', rotatedAt: 150, idleExpiresAt: 300 }),
    )
    await store.clientSessions.insert(
      session({ ...of(alice.id), id: 'ended', rotatedAt: 150, revokedAt: 200 }),
    )
    await store.factors.addTotp({
      userId: alice.id,
      encryptedSecret: 'v1',
      dataKey: 1,
      lastStep: 0,
      createdAt: 1,
    })
    await store.factors.addTotp({
      userId: bob.id,
      encryptedSecret: 'v1',
      dataKey: 2,
      lastStep: 0,
      createdAt: 1,
    })
    await store.factors.replaceRecoveryCodes(alice.id, ['a', 'b'], 1)
    await store.factors.replaceRecoveryCodes(bob.id, ['a', 'b'], 2)
    await store.status.lease('token', 1, 900, client().id)
    await store.status.lease('token', 1, 300, client().id)
    await store.dataKeys.rotateMasterKey({ ...change, newDataKey })
    await store.status.lease('token', 1, 900, client().id)
    t.same(await store.dataKeys.dependents(2, 320, 400), {
      sessions: 1,
      secondFactors: 1,
      recoveryCodes: 1,
      statusBlocks: 1,
    })
    t.same(await store.dataKeys.dependents(2, 100, 1000), {
      sessions: 0,
      secondFactors: 1,
      recoveryCodes: 1,
      statusBlocks: 0,
    })
  },
}
