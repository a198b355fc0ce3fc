import type { UpdateOutcome } from '../../src/store/contracts/update.ts'
import type { Store } from '../../src/store/index.ts'
import { api, client, ORDERS, user } from '../support/server/seed.ts'
import type { Contract } from './contract.ts'
import { ring } from './ring.ts'

const updated = async (outcome: Promise<UpdateOutcome<unknown>>) => (await outcome).updated

/** Every change of what the registry holds. */
const REGISTRY: readonly (readonly [string, (store: Store) => Promise<boolean>])[] = [
  ['apis.insert', (store) => store.apis.insert(api())],
  [
    'apis.update',
    (store) => updated(store.apis.update(ORDERS, (one) => ({ ...one, scopes: ['orders:read'] }))),
  ],
  ['apis.delete', (store) => store.apis.delete(api().identifier)],
  ['clients.insert', (store) => store.clients.insert(client())],
  [
    'clients.update',
    (store) => updated(store.clients.update('machine', (one) => ({ ...one, disabled: true }))),
  ],
  ['clients.delete', (store) => store.clients.delete(client().id)],
  [
    'roles.insert',
    (store) => store.roles.insert({ name: 'clerk', scopes: [], requireSecondFactor: false, createdAt: 1 }),
  ],
  ['roles.update', (store) => updated(store.roles.update('clerk', (one) => ({ ...one, scopes: ['a'] })))],
  ['roles.delete', (store) => store.roles.delete('clerk')],
]

export const revisionsContract: Contract = {
  'every change of clients, APIs and roles increments the registry revision': async (t, store) => {
    for (const [name, change] of REGISTRY) {
      const before = await store.revisions.read()
      t.equal(await change(store), true, `${name} changes something`)
      const after = await store.revisions.read()
      t.ok(after.registry > before.registry, name)
      t.equal(after.ring, before.ring, `${name} does not change the ring revision`)
    }
  },

  'a refused change does not change the registry revision': async (t, store) => {
    await store.apis.insert(api())
    await store.clients.insert(client())
    await store.roles.insert({ name: 'clerk', scopes: [], requireSecondFactor: false, createdAt: 1 })
    const before = await store.revisions.read()
    const refused = [
      await store.apis.insert(api({ scopes: ['new'] })),
      await store.apis.insert(api({ identifier: 'https://other.test' })),
      await updated(store.apis.update('https://nobody.test', (one) => ({ ...one, scopes: [] }))),
      await store.apis.delete('https://nobody.test'),
      await store.clients.insert(client()),
      await updated(store.clients.update('nobody', (one) => ({ ...one, disabled: true }))),
      await store.clients.delete('nobody'),
      await store.roles.insert({ name: 'clerk', scopes: [], requireSecondFactor: false, createdAt: 2 }),
      await updated(store.roles.update('nobody', (one) => ({ ...one, scopes: [] }))),
      await store.roles.delete('nobody'),
    ]
    t.same(new Set(refused), new Set([false]))
    t.same(await store.revisions.read(), before)
  },

  'fifty concurrent changes increment the registry revision fifty times': async (t, store) => {
    const before = await store.revisions.read()
    await Promise.all(Array.from({ length: 50 }, (_, i) => store.clients.insert(client({ id: `c${i}` }))))
    t.equal((await store.revisions.read()).registry, before.registry + 50)
  },

  'the ring revision is the version of the ring, and 0 before there is one': async (t, store) => {
    t.equal((await store.revisions.read()).ring, 0)
    await store.ring.create(ring())
    t.equal((await store.revisions.read()).ring, 1)
    await store.ring.replace(ring(), { ...ring(), version: 2 })
    t.equal((await store.revisions.read()).ring, 2)
  },

  'changes of users, sessions and rate limits do not change the registry revision': async (t, store) => {
    await store.roles.insert({ name: 'clerk', scopes: [], requireSecondFactor: false, createdAt: 1 })
    const before = await store.revisions.read()
    const alice = await user()
    await store.users.insert(alice)
    await store.users.setDisabled(alice.id, true)
    await store.singleUse.claim('jti', 9)
    await store.rateLimits.take([{ key: 'k', burst: 1, interval: 1 }], 1)
    t.same(await store.revisions.read(), before)
  },

  'a change on one connection is visible on another': async (t, store, database) => {
    const other = await database.connect()
    await store.clients.insert(client())
    t.same(await other.revisions.read(), await store.revisions.read())
  },
}
