import type { PushedRequest } from '../../src/store/contracts/pushed-requests.ts'
import { insertOwners } from './client-sessions.ts'
import { type Contract, winners } from './contract.ts'

export function pushed(overrides: Partial<PushedRequest> = {}): PushedRequest {
  return {
    clientId: 'machine',
    clientRevision: 7,
    parameters: [
      ['response_type', 'code'],
      ['resource', 'https://b.test'],
      ['resource', 'https://a.test'],
      ['state', 'é “x” \u0000'],
    ],
    expiresAt: 1090,
    usedAt: null,
    ...overrides,
  }
}

export const pushedRequestsContract: Contract = {
  'find returns a pushed request with its parameters in order': async (t, store) => {
    await insertOwners(store)
    t.equal(await store.pushedRequests.insert('h', pushed({ usedAt: 3 })), true)
    t.equal(await store.pushedRequests.insert('h2', pushed({ parameters: [] })), true)
    t.same(await store.pushedRequests.find('h'), pushed({ usedAt: 3 }))
    t.same(await store.pushedRequests.find('h2'), pushed({ parameters: [] }))
    t.equal(await store.pushedRequests.find('H'), null)
  },

  'insert returns false and changes nothing if the client does not exist or the hash is taken': async (
    t,
    store,
  ) => {
    await insertOwners(store)
    t.equal(await store.pushedRequests.insert('h', pushed({ clientId: 'x' })), false)
    t.equal(await store.pushedRequests.find('h'), null)
    await store.pushedRequests.insert('h', pushed())
    t.equal(await store.pushedRequests.insert('h', pushed({ clientId: 'phone' })), false)
    t.same(await store.pushedRequests.find('h'), pushed())
  },

  'of fifty concurrent calls of consume on two connections, one returns true (RFC 9126 §2.2, §4; docs/security.md K121, P6)':
    async (t, store, database) => {
      await insertOwners(store)
      const other = await database.connect()
      await store.pushedRequests.insert('h', pushed())
      await store.pushedRequests.insert('h2', pushed())
      const outcome = await winners(50, (i) => (i % 2 ? store : other).pushedRequests.consume('h', 1000 + i))
      t.same(outcome, { won: 1, lost: 49 })
      const usedAt = (await store.pushedRequests.find('h'))?.usedAt ?? 0
      t.ok(usedAt >= 1000)
      t.equal(await store.pushedRequests.consume('h', 2000), false)
      t.equal((await store.pushedRequests.find('h'))?.usedAt, usedAt, 'the time of the first use is kept')
      t.same(await store.pushedRequests.find('h2'), pushed(), 'other requests are unchanged')
      t.equal(await store.pushedRequests.consume('nothing', 1000), false)
    },

  'prune deletes at most the given number of expired requests and returns how many (docs/security.md Q20)':
    async (t, store) => {
      await insertOwners(store)
      for (let i = 1; i <= 5; i += 1) await store.pushedRequests.insert(`h${i}`, pushed({ expiresAt: i }))
      t.equal(await store.pushedRequests.prune(4, 2), 2)
      t.equal(await store.pushedRequests.prune(4, 2), 1)
      t.equal(await store.pushedRequests.prune(4, 2), 0)
      t.equal(await store.pushedRequests.find('h3'), null)
      t.not(await store.pushedRequests.find('h4'), null)
      t.not(await store.pushedRequests.find('h5'), null)
    },
}
