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
