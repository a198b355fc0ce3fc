import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openDb } from '../../src/store/index.ts'
import { migrate } from '../../src/store/migrate.ts'
import { type Database, runContract } from '../contracts/contract.ts'
import { contracts } from '../contracts/index.ts'
import { recordPlans } from '../support/postgres/query-plans.ts'
import { testClock } from '../support/server/clock.ts'

const FILE = 'keyturn.db'
const plans = recordPlans({ groups: false })
/** Values for the parameters of statements that are explained and not run. */
const NULLS = Array.from({ length: 400 }, () => null)

/** Created once and copied, so that each check has an empty database file that several connections can open. */
const template = join(t.testdir(), FILE)
const db = openDb(`sqlite:${template}`, { create: true })
await migrate(db, testClock())
await db.close()

async function newDatabase(t: Test): Promise<Database> {
  const file = join(t.testdir(), FILE)
  copyFileSync(template, file)
  return {
    async connect() {
      const store = plans.store(openDb(`sqlite:${file}`))
      t.teardown(() => store.db.close())
      return store
    },
  }
}

for (const [name, contract] of Object.entries(contracts)) {
  t.test(`${name} on SQLite`, async (t) => runContract(t as Test, contract, newDatabase))
}

t.test('no statement of the contracts scans a large table on SQLite', async (t) => {
  const { db } = await (await newDatabase(t as Test)).connect()
  const explain = async (sql: string) => {
    const rows = await db.query<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, NULLS)
    return rows.map(({ detail }) => detail)
  }
  t.same(await plans.scans(explain), [])
})

t.test('concurrent batches on SQLite run in order on one connection', async (t) => {
  const { db } = await (await newDatabase(t as Test)).connect()
  await db.batch([{ sql: `INSERT INTO single_use (id, expires_at) VALUES ('a', 0)` }])
  const seen = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      db.batch([
        {
          sql: 'UPDATE single_use SET expires_at = $2 WHERE id = $1 AND expires_at = $3',
          params: ['a', i + 1, i],
          expectRows: 1,
        },
      ]),
    ),
  )
  t.notOk(seen.includes(false))
  t.same(await db.query('SELECT expires_at FROM single_use'), [{ expires_at: 20 }])
})
