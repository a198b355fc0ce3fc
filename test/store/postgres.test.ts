import t, { type Test } from 'tap'
import { openDb } from '../../src/store/index.ts'
import { type Database, runContract } from '../contracts/contract.ts'
import { contracts } from '../contracts/index.ts'
import { run } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { recordPlans } from '../support/postgres/query-plans.ts'

const postgres = await startPostgres(t)
const plans = recordPlans({ groups: true })

async function newDatabase(t: Test): Promise<Database> {
  const url = await postgres.database(t)
  return {
    async connect() {
      const store = plans.store(openDb(url, { timeout: 120 }))
      t.teardown(() => store.db.close())
      return store
    },
  }
}

for (const [name, contract] of Object.entries(contracts)) {
  t.test(`${name} on PostgreSQL`, async (t) => runContract(t as Test, contract, newDatabase))
}

t.test('no statement of the contracts scans a large table on PostgreSQL', async (t) => {
  // PostgreSQL scans small tables because that is quicker. With sequential scans disabled it does so only without an index.
  const url = `${await postgres.database(t)}?options=-c%20enable_seqscan%3Doff`
  const explain = async (sql: string) => {
    const { rows } = await run(url, `EXPLAIN (GENERIC_PLAN) ${sql}`)
    return rows.map((row) => String(row['QUERY PLAN']))
  }
  t.same(await plans.scans(explain), [])
})

/** All columns with unique values, as `table.column`. */
const UNIQUE_COLUMNS = `SELECT c.relname || '.' || a.attname AS name
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
 WHERE i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL`

t.test('the key of a step with a row names one row', async (t) => {
  const { rows } = await run(await postgres.database(t as Test), UNIQUE_COLUMNS)
  const unique = rows.map(({ name }) => name)
  t.not(plans.rowKeys().length, 0)
  t.same(
    plans.rowKeys().filter((key) => !unique.includes(key)),
    [],
  )
})
