import type { Consent } from '../../src/store/contracts/consents.ts'
import { api } from '../support/server/seed.ts'
import { insertOwners } from './client-sessions.ts'
import { type Contract, winners } from './contract.ts'

const ORDERS = 'https://orders.test'

const consent = (overrides: Partial<Consent> = {}): Consent => ({
  userId: 'alice',
  clientId: 'machine',
  audience: ORDERS,
  scopes: ['openid', 'orders:read'],
  grantedAt: 1000,
  ...overrides,
})

export const consentsContract: Contract = {
  'find returns a stored consent by user and client': async (t, store) => {
    await insertOwners(store)
    t.equal(await store.consents.add(consent()), true)
    t.equal(await store.consents.add(consent({ clientId: 'phone', scopes: [] })), true)
    t.same(await store.consents.find('alice', 'machine', ORDERS), consent())
    t.same(await store.consents.find('alice', 'phone', ORDERS), consent({ clientId: 'phone', scopes: [] }))
    t.equal(await store.consents.find('bob', 'machine', ORDERS), null)
    t.equal(await store.consents.find('machine', 'alice', ORDERS), null)
  },

  'list returns the consents of one user, newest first': async (t, store) => {
    await insertOwners(store)
    await store.consents.add(consent())
    await store.consents.add(consent({ clientId: 'phone', grantedAt: 1100 }))
    await store.consents.add(consent({ userId: 'bob' }))
    t.same(await store.consents.list('alice'), [consent({ clientId: 'phone', grantedAt: 1100 }), consent()])
    t.same(await store.consents.list('nobody'), [])
  },

  'consent is stored by audience: one at another audience is separate, and delete removes both (RFC 8707 §2; docs/security.md S3)':
    async (t, store) => {
      await insertOwners(store)
      const stock = consent({ audience: 'https://stock.test', scopes: ['stock:read'], grantedAt: 1100 })
      await store.consents.add(consent())
      await store.consents.add(stock)
      t.same(await store.consents.find('alice', 'machine', ORDERS), consent())
      t.same(await store.consents.find('alice', 'machine', stock.audience), stock)
      await store.consents.add(consent({ clientId: 'phone' }))
      t.same(await store.consents.list('alice', 'machine'), [stock, consent()])
      t.equal(await store.consents.delete('alice', 'machine'), true)
      t.same(await store.consents.list('alice'), [consent({ clientId: 'phone' })])
    },

  'deleting an API deletes the consents for it, and they do not count for an API that gets its identifier later (docs/security.md S3)':
    async (t, store) => {
      await insertOwners(store)
      const created = api({ identifier: 'https://new.test', scopes: ['new:read'] })
      const granted = consent({ audience: created.identifier, scopes: ['new:read'] })
      await store.apis.insert(created)
      await store.consents.add(granted)
      await store.consents.add(consent())
      t.equal(await store.apis.delete('https://new.test/'), true)
      t.same(await store.consents.list('alice'), [consent()])
      await store.apis.insert(created)
      t.equal(await store.consents.find('alice', 'machine', created.identifier), null)
    },

  'add extends the scopes that were granted before': async (t, store) => {
    await insertOwners(store)
    await store.consents.add(consent())
    t.equal(await store.consents.add(consent({ scopes: ['orders:read', 'email'], grantedAt: 1200 })), true)
    const both = consent({ scopes: ['openid', 'orders:read', 'email'], grantedAt: 1200 })
    t.same(await store.consents.find('alice', 'machine', ORDERS), both)
    t.equal(await store.consents.add(consent({ scopes: [], grantedAt: 1300 })), true)
    t.same((await store.consents.find('alice', 'machine', ORDERS))?.scopes, both.scopes, 'nothing gets lost')
  },

  'of fifty concurrent additions on two connections, none is lost': async (t, store, database) => {
    await insertOwners(store)
    const other = await database.connect()
    const outcome = await winners(50, (i) =>
      (i % 2 ? store : other).consents.add(consent({ scopes: [`s${i}`] })),
    )
    t.same(outcome, { won: 50, lost: 0 })
    const scopes = (await store.consents.find('alice', 'machine', ORDERS))?.scopes ?? []
    t.same(new Set(scopes), new Set(Array.from({ length: 50 }, (_, i) => `s${i}`)))
    t.equal(scopes.length, 50)
  },

  'add returns false and changes nothing if the user or the client does not exist': async (t, store) => {
    await insertOwners(store)
    t.equal(await store.consents.add(consent({ userId: 'x' })), false)
    t.equal(await store.consents.add(consent({ clientId: 'x' })), false)
    t.same(await store.consents.list('alice'), [])
    t.same(await store.consents.list('x'), [])
  },

  'of fifty concurrent deletions one returns true; without a consent delete returns false': async (
    t,
    store,
    database,
  ) => {
    await insertOwners(store)
    const other = await database.connect()
    await store.consents.add(consent())
    await store.consents.add(consent({ clientId: 'phone' }))
    await store.consents.add(consent({ userId: 'bob' }))
    const outcome = await winners(50, (i) => (i % 2 ? store : other).consents.delete('alice', 'machine'))
    t.same(outcome, { won: 1, lost: 49 })
    t.equal(await store.consents.find('alice', 'machine', ORDERS), null)
    t.not(await store.consents.find('alice', 'phone', ORDERS), null, 'the consent for another client remains')
    t.not(await store.consents.find('bob', 'machine', ORDERS), null, 'the consent of another user remains')
    t.equal(await store.consents.delete('alice', 'nobody'), false)
  },
}
