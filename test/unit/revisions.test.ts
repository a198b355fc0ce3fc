import t from 'tap'
import type { Db } from '../../src/store/db.ts'
import { createRevisionStore } from '../../src/store/sql/revisions.ts'

t.test('callers of one turn share a query, which begins after all of them have called', async (t) => {
  let stored = 1
  let queries = 0
  const query = async () => {
    queries += 1
    return [{ ring: stored, registry: 0, status: 0, data_keys: 0 }]
  }
  const revisions = createRevisionStore({ query } as unknown as Db)
  const first = revisions.read()
  stored = 2
  const [one, two] = await Promise.all([first, revisions.read()])
  t.equal(queries, 1)
  t.equal(one.ring, 2)
  t.equal(two.ring, 2)
  stored = 3
  t.equal((await revisions.read()).ring, 3)
  t.equal(queries, 2)
})

t.test('a query that fails fails its callers, and not later ones', async (t) => {
  let works = false
  const query = async () => {
    if (!works) throw new Error('down')
    return []
  }
  const revisions = createRevisionStore({ query } as unknown as Db)
  await Promise.all([t.rejects(revisions.read()), t.rejects(revisions.read())])
  works = true
  t.match(await revisions.read(), { ring: 0 })
})

t.test('if it is asked for, nothing is queried while the engine says that nothing was written', async (t) => {
  let version: string | undefined = '1'
  let queries = 0
  const query = async () => {
    queries += 1
    // Another process commits during the query, which may not have seen it.
    if (queries === 2) version = '3'
    return [{ ring: queries, registry: 0, status: 0, data_keys: 0, logout_due_at: null }]
  }
  const revisions = createRevisionStore({ query, version: () => version } as unknown as Db)
  const read = async () => (await revisions.read({ unlessUnchanged: true })).ring
  t.same([await read(), await read()], [1, 1])
  version = '2'
  t.same([await read(), await read(), await read()], [2, 3, 3])
  t.equal((await revisions.read()).ring, 4)
  t.equal(await read(), 4)
  version = undefined
  t.same([await read(), await read()], [5, 6], 'the engine cannot tell')
})
