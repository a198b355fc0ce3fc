import type { Store } from '../../src/store/index.ts'
import { insertOwners, session } from './client-sessions.ts'
import { type Contract, winners } from './contract.ts'

/** Inserts a session of a client with back-channel logout, and ends it at this time. */
async function ended(store: Store, id: string, at: number): Promise<void> {
  await store.clientSessions.insert(session({ id, backchannelLogout: true }))
  await store.clientSessions.revoke(id, at, 'signed out')
}

const notice = (clientSessionId: string, dueAt: number, attempts = 0) => ({
  clientSessionId,
  clientId: 'machine',
  userId: 'alice',
  attempts,
  dueAt,
})

export const logoutOutboxContract: Contract = {
  'due returns at most the given number of due rows, the longest due first': async (t, store) => {
    await insertOwners(store)
    t.same(await store.logoutOutbox.due(9999, 10), [])
    for (const [id, at] of [
      ['a', 1300],
      ['b', 1100],
      ['c', 1200],
      ['d', 1301],
    ] as const) {
      await ended(store, id, at)
    }
    const due = [notice('b', 1100), notice('c', 1200), notice('a', 1300)]
    t.same(await store.logoutOutbox.due(1300, 10), due)
    t.same(await store.logoutOutbox.due(1300, 2), due.slice(0, 2))
    t.same(await store.logoutOutbox.due(1099, 10), [])
    t.same(await store.logoutOutbox.due(1300, 10, ['phone']), due)
    t.same(
      await store.logoutOutbox.due(1300, 10, ['phone', 'machine']),
      [],
      'clients named in the call are left out',
    )
  },

  'of fifty concurrent claims on two connections, one succeeds and delays the next attempt': async (
    t,
    store,
    database,
  ) => {
    await insertOwners(store)
    const other = await database.connect()
    await ended(store, 'a', 1100)
    await ended(store, 'b', 1100)
    for (const attempts of [0, 1, 2]) {
      const dueAt = 1100 + attempts * 60
      const outcome = await winners(50, (i) =>
        (i % 2 ? store : other).logoutOutbox.claim(notice('a', dueAt, attempts), dueAt + 60),
      )
      t.same(outcome, { won: 1, lost: 49 })
    }
    t.same(await store.logoutOutbox.due(1279, 10), [notice('b', 1100)])
    t.same(await store.logoutOutbox.due(1280, 10), [notice('b', 1100), notice('a', 1280, 3)])
  },

  'of fifty concurrent claims, one succeeds even if the next attempt is due at once': async (t, store) => {
    await insertOwners(store)
    await ended(store, 'a', 1100)
    const outcome = await winners(50, () => store.logoutOutbox.claim(notice('a', 1100), 1100))
    t.same(outcome, { won: 1, lost: 49 })
  },

  'delete removes a row, which can then not be claimed': async (t, store) => {
    await insertOwners(store)
    await ended(store, 'a', 1100)
    await ended(store, 'b', 1100)
    await store.logoutOutbox.delete('a')
    t.same(await store.logoutOutbox.due(1100, 10), [notice('b', 1100)])
    t.equal(await store.logoutOutbox.claim(notice('a', 1100), 1160), false)
    await store.logoutOutbox.delete('a')
    await store.logoutOutbox.delete('nobody')
  },

  'count includes all rows, due or not, and no deleted row': async (t, store) => {
    await insertOwners(store)
    t.equal(await store.logoutOutbox.count(), 0)
    await ended(store, 'a', 1100)
    await ended(store, 'b', 9999)
    t.equal(await store.logoutOutbox.count(), 2)
    await store.logoutOutbox.delete('a')
    t.equal(await store.logoutOutbox.count(), 1)
  },
}
