import { LIST_SIZE, type StatusBlock } from '../../src/store/contracts/status.ts'
import { client, user } from '../support/server/seed.ts'
import { session } from './client-sessions.ts'
import type { Contract } from './contract.ts'

/** Positions of a block, each with its list, as texts that can be compared. */
const positions = ({ list, start, size }: StatusBlock) =>
  Array.from({ length: size }, (_, index) => `${list}/${start + index}`)

export const statusContract: Contract = {
  'fifty concurrent leases on two connections get positions that were never leased before': async (
    t,
    { status },
    database,
  ) => {
    const other = await database.connect()
    const blocks = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        (i % 2 ? status : other.status).lease('token', 64, 100, 'machine'),
      ),
    )
    t.equal(new Set(blocks.flatMap(positions)).size, 50 * 64)
  },

  'sessions and tokens have separate lists': async (t, { status }) => {
    const session = await status.lease('session', 64, 100)
    const token = await status.lease('token', 64, 100, 'machine')
    t.not(session.list, token.list)
    t.equal(session.expiresAt, 100)
  },

  'a block never crosses the end of a list': async (t, { status }) => {
    const first = await status.lease('token', LIST_SIZE - 10, 100, 'machine')
    const second = await status.lease('token', 64, 100, 'machine')
    t.not(second.list, first.list)
    t.equal(second.start, 0)
    t.same(await status.listsInUse(50), [first.list, second.list].sort())
  },

  'after startNewLists, blocks of both kinds come from new lists': async (t, { status }) => {
    const before = [await status.lease('token', 64, 100, 'machine'), await status.lease('session', 64, 100)]
    await status.startNewLists()
    const after = [await status.lease('token', 64, 100, 'machine'), await status.lease('session', 64, 100)]
    const lists = [...before, ...after].map(({ list }) => list)
    t.equal(new Set(lists).size, 4)
    for (const { start } of after) t.equal(start, 0)
    await status.startNewLists()
    t.notOk(
      lists.includes((await status.lease('token', 64, 100, 'machine')).list),
      'the second call starts new lists again',
    )
  },

  'a list lives as long as its longest block': async (t, { status }) => {
    const { list } = await status.lease('token', 64, 200, 'machine')
    await status.lease('token', 64, 100, 'machine')
    t.same(await status.listsInUse(199), [list])
    t.same(await status.listsInUse(200), [])
  },

  'changesSince returns what was revoked after a revision, and everything for revision 0': async (
    t,
    { status },
  ) => {
    const before = await status.changesSince(0, 10)
    await status.revoke({ list: 1, idx: 7 }, 100)
    await status.revoke({ list: 1, idx: 7 }, 100)
    const first = await status.changesSince(before.revision, 10)
    t.same(first.entries, [{ list: 1, idx: 7 }])
    t.ok(first.revision > before.revision)
    t.same((await status.changesSince(first.revision, 10)).entries, [])
    await status.revoke({ list: 1, idx: 8 }, 100)
    t.same((await status.changesSince(first.revision, 10)).entries, [{ list: 1, idx: 8 }])
    t.same((await status.changesSince(0, 10)).entries.length, 2)
  },

  'changesSince omits expired entries, and prune deletes them': async (t, { status }) => {
    await status.revoke({ list: 1, idx: 7 }, 100)
    t.same((await status.changesSince(0, 100)).entries, [])
    t.equal(await status.prune(101, 10), 1)
    t.equal(await status.prune(101, 10), 0)
  },

  'revokeClient revokes all earlier blocks of the client and no others': async (t, { status }) => {
    const block = await status.lease('token', 64, 100, 'machine')
    await status.lease('token', 64, 100, 'phone')
    await status.revokeClient('machine')
    const later = await status.lease('token', 64, 100, 'machine')
    const { blocks } = await status.changesSince(0, 10)
    t.same(blocks, [{ list: block.list, start: block.start, size: block.size }])
    t.not(later.start, block.start)
  },

  'revoking a session by any means revokes its status index': async (t, store) => {
    for (const id of ['machine', 'phone']) await store.clients.insert(client({ id }))
    await store.users.insert(await user({ id: 'alice', roles: [] }))
    const begin = (id: string, idx: number, clientId = 'machine') =>
      store.clientSessions.insert(session({ id, clientId, status: { list: 0, idx } }))
    for (let i = 1; i <= 3; i += 1) await begin(`s${i}`, i)
    await begin('p', 4, 'phone')
    await begin('q', 5, 'phone')
    const seen = async () => (await store.status.changesSince(0, 10)).entries.map(({ idx }) => idx).sort()

    await store.clientSessions.revoke('s1', 1000, 'test')
    t.same(await seen(), [1])
    await store.clientSessions.revokeMatching({ id: 'p' }, 1000, 'test')
    t.same(await seen(), [1, 4])
    await store.clients.delete('machine')
    t.same(await seen(), [1, 2, 3, 4])
    t.equal(await store.clientSessions.find('s2'), null)
  },

  'replaceStatus revokes the old index and stores a new one, once': async (t, store) => {
    await store.clients.insert(client())
    await store.users.insert(await user({ id: 'alice', roles: [] }))
    const [old, fresh] = [
      { list: 0, idx: 1 },
      { list: 0, idx: 2 },
    ] as const
    await store.clientSessions.insert(session({ status: old }))
    t.equal(await store.clientSessions.replaceStatus('session', old, fresh), true)
    t.equal(await store.clientSessions.replaceStatus('session', old, { list: 0, idx: 3 }), false)
    t.same((await store.clientSessions.find('session'))?.status, fresh)
    t.same((await store.status.changesSince(0, 10)).entries, [old])
  },

  'revoking an ended session changes no revision': async (t, store) => {
    await store.clients.insert(client())
    await store.users.insert(await user({ id: 'alice', roles: [] }))
    await store.clientSessions.insert(session({ status: { list: 0, idx: 1 } }))
    t.equal(await store.clientSessions.revoke('session', 1000, 'test'), true)
    const { revision } = await store.revisions.read().then(({ status }) => ({ revision: status }))
    t.equal(await store.clientSessions.revoke('session', 1000, 'test'), false)
    t.equal((await store.revisions.read()).status, revision)
  },
}
