import t, { type Test } from 'tap'
import { createStore, openDb } from '../../src/store/index.ts'
import { type Database, runContract } from '../contracts/contract.ts'
import { contracts } from '../contracts/index.ts'
import { startPostgres } from '../support/postgres.ts'

const postgres = await startPostgres(t)

async function newDatabase(t: Test): Promise<Database> {
  const url = await postgres.database(t)
  return {
    async connect() {
      const store = createStore(openDb(url))
      t.teardown(() => store.db.close())
      return store
    },
  }
}

for (const [name, contract] of Object.entries(contracts)) {
  t.test(`${name} on PostgreSQL`, async (t) => runContract(t as Test, contract, newDatabase))
}
