/** What `update` promises, for every aggregate of the registry alike; each contract file adds these checks to its own. */
import type { New, Update } from '../../src/store/contracts/update.ts'
import type { Store } from '../../src/store/index.ts'
import type { Contract } from './contract.ts'

interface Aggregate<Row extends { readonly revision: number; readonly createdAt: number }> {
  readonly rows: (store: Store) => {
    readonly update: Update<Row>
    find(key: string): Promise<Row | null>
  }
  /** Inserts what the row needs, and the row. */
  readonly insert: (store: Store) => Promise<string>
  /** Two changes of different members, as two administrators would make them. */
  readonly changes: readonly [Partial<New<Row>>, Partial<New<Row>>]
  /** A change that can be made any number of times, each with another number. */
  readonly add: (row: Row, number: number) => New<Row>
  /** How many of these changes are in the row. */
  readonly added: (row: Row) => number
  /** Members that an update leaves alone. */
  readonly kept: Partial<New<Row>>
}

const WRITERS = 20

export function updateContract<Row extends { readonly revision: number; readonly createdAt: number }>({
  rows,
  insert,
  changes: [mine, theirs],
  add,
  added,
  kept,
}: Aggregate<Row>): Contract {
  return {
    'of two interleaved writers, the later one applies its change to the row of the faster one (docs/security.md R1)':
      async (t, store, database) => {
        const other = rows(await database.connect())
        const key = await insert(store)
        const seen: number[] = []
        const outcome = await rows(store).update(key, async (current) => {
          seen.push(current.revision)
          if (seen.length === 1)
            t.match(await other.update(key, (one) => ({ ...one, ...theirs })), { updated: true })
          return { ...current, ...mine }
        })
        t.same(seen, [1, 2], 'read again after the other writer')
        t.match(outcome, { updated: true, before: theirs, after: { ...mine, ...theirs, revision: 3 } })
        t.match(await other.find(key), { ...mine, ...theirs, revision: 3 })
      },

    'of many concurrent writers on two connections, no change is lost': async (t, store, database) => {
      const connections = [rows(store), rows(await database.connect())]
      const key = await insert(store)
      const before = await rows(store).find(key)
      const outcomes = await Promise.all(
        Array.from({ length: WRITERS }, (_, i) =>
          connections[i % 2]?.update(key, (current) => add(current, i)),
        ),
      )
      for (const outcome of outcomes) t.match(outcome, { updated: true })
      const after = await rows(store).find(key)
      if (!before || !after) throw new Error('the row is gone')
      t.equal(added(after) - added(before), WRITERS)
      t.equal(after.revision, WRITERS + 1)
    },

    'update returns the row before and after, as they are stored': async (t, store) => {
      const key = await insert(store)
      const before = await rows(store).find(key)
      t.equal(before?.revision, 1)
      const outcome = await rows(store).update(key, (current) => ({ ...current, ...mine }))
      t.same(outcome, { updated: true, before, after: await rows(store).find(key) })
    },

    'update changes neither the identity of a row nor when it was made': async (t, store) => {
      const key = await insert(store)
      const before = await rows(store).find(key)
      const changed = await rows(store).update(key, (current) => ({
        ...current,
        ...mine,
        ...kept,
        createdAt: 777,
        revision: 40,
      }))
      t.match(changed, { updated: true })
      t.same(await rows(store).find(key), { ...before, ...mine, revision: 2 })
    },

    'an update that changes nothing writes nothing': async (t, store) => {
      const key = await insert(store)
      const { registry } = await store.revisions.read()
      const outcome = await rows(store).update(key, (current) => ({ ...current }))
      t.ok(outcome.updated && outcome.before === outcome.after)
      t.equal((await rows(store).find(key))?.revision, 1)
      t.equal((await store.revisions.read()).registry, registry)
    },

    'a change that throws changes nothing': async (t, store) => {
      const key = await insert(store)
      const before = await rows(store).find(key)
      await t.rejects(
        rows(store).update(key, () => {
          throw new Error('no')
        }),
        { message: 'no' },
      )
      t.same(await rows(store).find(key), before)
    },

    'update says that there is no such row': async (t, store) => {
      const outcome = await rows(store).update('unknown', () => {
        throw new Error('is not called')
      })
      t.same(outcome, { updated: false, reason: 'not_found' })
    },
  }
}
