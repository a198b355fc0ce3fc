import type { Resealing, StoredRoot } from '../../src/store/contracts/data-keys.ts'
import { LIST_SIZE } from '../../src/store/contracts/status.ts'
import type { Store } from '../../src/store/index.ts'
import { client, user } from '../support/server/seed.ts'
import { session } from './client-sessions.ts'
import { type Contract, winners } from './contract.ts'
import { ring } from './ring.ts'

const root = (overrides: Partial<StoredRoot> = {}): StoredRoot => ({
  number: 1,
  sealed: 'v1.root.1',
  madeAt: 100,
  writesFrom: 100,
  listsFrom: 0,
  voided: false,
  ...overrides,
})

/** A store with a ring and a root, and what would put both under another master key. */
async function sealedStore(store: Store): Promise<Resealing> {
  await store.ring.create(ring())
  await store.roots.create(root())
  return {
    ring: ring(),
    keys: new Map([
      ['active', 'v1.other.a'],
      ['next', 'v1.other.n'],
    ]),
    roots: [root()],
    sealed: new Map([[1, 'v1.other.1']]),
  }
}

const fresh = { number: 2, sealed: 'v1.root.2', madeAt: 200, writesFrom: 320 }

export const rootsContract: Contract = {
  'the first root is stored by exactly one of fifty, ever': async (t, store, database) => {
    t.same(await store.roots.list(), [])
    const other = await database.connect()
    const create = (i: number) => (i % 2 ? store : other).roots.create(root({ sealed: `v1.${i}` }))
    t.same(await winners(50, create), { won: 1, lost: 49 })
    const [only] = await store.roots.list()
    t.match(only, { number: 1, madeAt: 100, writesFrom: 100, listsFrom: 0, voided: false })
    t.equal(await store.roots.create(root({ number: 7 })), false, 'nor is another first one')
    t.same(await other.roots.list(), [only])
  },

  'reseal puts all under the other key, as one new version of the ring': async (t, store) => {
    const change = await sealedStore(store)
    const before = await store.revisions.read()
    t.equal(await store.roots.reseal(change), true)
    const now = await store.ring.read()
    t.same(
      now?.keys.map(({ sealed }) => sealed),
      ['v1.other.a', 'v1.other.n'],
    )
    t.equal(now?.version, 2)
    t.same(await store.roots.list(), [root({ sealed: 'v1.other.1' })])
    const after = await store.revisions.read()
    t.ok(after.roots > before.roots, 'running nodes read it again')
    t.equal(await store.roots.reseal(change), false, 'the ring is no longer the one that was read')
  },

  'reseal changes nothing if a root, a key or the ring is not as it was read': async (t, store) => {
    const change = await sealedStore(store)
    const other = { ...ring(), keys: ring().keys.map((key) => ({ ...key, sealed: 'v1.else' })) }
    const refused: Resealing[] = [
      { ...change, roots: [root({ sealed: 'v1.else' })] },
      { ...change, roots: [root(), root({ number: 2 })], sealed: new Map([...change.sealed, [2, 'v1.x']]) },
      { ...change, ring: other },
      { ...change, ring: { ...ring(), version: 9 } },
    ]
    for (const one of refused) t.equal(await store.roots.reseal(one), false)
    t.same(await store.ring.read(), ring())
    t.same(await store.roots.list(), [root()])
    t.equal((await store.revisions.read()).roots, 2)
  },

  'reseal gives no private half to a key that has none': async (t, store) => {
    const change = await sealedStore(store)
    const keys = new Map([...change.keys, ['retired', 'v1.x']])
    t.equal(await store.roots.reseal({ ...change, keys }), false)
    t.equal((await store.ring.read())?.version, 1)
  },

  'of fifty reseals at once one is done, whole': async (t, store, database) => {
    const change = await sealedStore(store)
    const other = await database.connect()
    const to = (i: number): Resealing => ({
      ...change,
      keys: new Map([
        ['active', `v1.${i}.a`],
        ['next', `v1.${i}.n`],
      ]),
      sealed: new Map([[1, `v1.${i}.1`]]),
    })
    t.same(await winners(50, (i) => (i % 2 ? store : other).roots.reseal(to(i))), { won: 1, lost: 49 })
    const [only] = await store.roots.list()
    const by = only?.sealed.split('.')[1]
    t.same(
      (await store.ring.read())?.keys.map(({ sealed }) => sealed),
      [`v1.${by}.a`, `v1.${by}.n`],
    )
  },

  'a fresh root begins with lists that nothing was leased from, of both kinds': async (t, store) => {
    const change = await sealedStore(store)
    await store.status.lease('session', LIST_SIZE, 900)
    await store.status.lease('session', 1, 900)
    const old = await store.status.lease('token', 1, 900)
    t.equal(await store.roots.reseal({ ...change, fresh }), true)
    const roots = await store.roots.list()
    const { listsFrom = 0 } = roots[1] ?? {}
    t.same(roots, [root({ sealed: 'v1.other.1' }), { ...fresh, listsFrom, voided: false }])
    for (const kind of ['session', 'token'] as const) {
      const { list, start } = await store.status.lease(kind, 1, 900)
      t.ok(list >= listsFrom, kind)
      t.equal(start, 0)
    }
    t.ok(old.list < listsFrom)
    t.ok(listsFrom > 2, 'not one that was begun')
  },

  'roots that are voided with a reseal, or afterwards, are marked; the fresh one is not': async (
    t,
    store,
  ) => {
    const change = await sealedStore(store)
    await store.roots.reseal({ ...change, fresh, voids: true })
    t.same(
      (await store.roots.list()).map(({ voided }) => voided),
      [true, false],
    )
    const before = await store.revisions.read()
    await store.roots.voidBefore(2)
    t.same(
      (await store.roots.list()).map(({ voided }) => voided),
      [true, false],
    )
    t.ok((await store.revisions.read()).roots > before.roots)
  },

  'a root is forgotten, but never the newest': async (t, store) => {
    const change = await sealedStore(store)
    t.equal(await store.roots.remove(1), false)
    await store.roots.reseal({ ...change, fresh })
    t.equal(await store.roots.remove(2), false)
    const before = await store.revisions.read()
    t.equal(await store.roots.remove(1), true)
    t.equal(await store.roots.remove(1), false)
    t.same(
      (await store.roots.list()).map(({ number }) => number),
      [2],
    )
    t.ok((await store.revisions.read()).roots > before.roots)
    t.equal(await store.roots.create(root()), false, 'and there is no other first one')
  },

  'what depends on an older root is counted: sessions, second factors, codes, status indices': async (
    t,
    store,
  ) => {
    const change = await sealedStore(store)
    const [alice, bob] = [await user({ roles: [] }), await user({ username: 'bob', roles: [] })]
    await store.users.insert(alice)
    await store.users.insert(bob)
    await store.clients.insert(client())
    const of = (userId: string) => ({ userId, clientId: client().id, expiresAt: 9000, idleExpiresAt: 900 })
    await store.sessions.insert(session({ ...of(alice.id), id: 'old', rotatedAt: 150 }))
    await store.sessions.insert(session({ ...of(alice.id), id: 'used since', rotatedAt: 500 }))
    await store.sessions.insert(session({ ...of(alice.id), id: 'over', rotatedAt: 150, idleExpiresAt: 300 }))
    await store.sessions.insert(session({ ...of(alice.id), id: 'ended', rotatedAt: 150, revokedAt: 200 }))
    await store.factors.addTotp({ userId: alice.id, sealed: 'v1', root: 1, lastStep: 0, createdAt: 1 })
    await store.factors.addTotp({ userId: bob.id, sealed: 'v1', root: 2, lastStep: 0, createdAt: 1 })
    await store.factors.replaceRecoveryCodes(alice.id, ['a', 'b'], 1)
    await store.factors.replaceRecoveryCodes(bob.id, ['a', 'b'], 2)
    await store.status.lease('token', 1, 900, client().id)
    await store.status.lease('token', 1, 300, client().id)
    await store.roots.reseal({ ...change, fresh })
    await store.status.lease('token', 1, 900, client().id)
    t.same(await store.roots.dependents(2, 320, 400), {
      sessions: 1,
      secondFactors: 1,
      recoveryCodes: 1,
      statusBlocks: 1,
    })
    t.same(await store.roots.dependents(2, 100, 1000), {
      sessions: 0,
      secondFactors: 1,
      recoveryCodes: 1,
      statusBlocks: 0,
    })
  },
}
