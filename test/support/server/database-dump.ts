import type { Test } from 'tap'
import type { Store } from '../../../src/store/index.ts'
import { ENGINE } from './engine.ts'
import type { TestServer } from './server.ts'

/** The names of all tables, in order. */
export async function tablesOf({ db }: Pick<Store, 'db'>): Promise<string[]> {
  const sql = {
    SQLite: `SELECT name FROM sqlite_schema WHERE type = 'table'`,
    PostgreSQL: `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`,
  }
  return (await db.query<{ name: string }>(sql[ENGINE])).map(({ name }) => name).sort()
}

/** Every row of every table as text: equal dumps mean that nothing was written in between. */
async function dump(store: Store, except: readonly string[] = []): Promise<string> {
  const tables = await tablesOf(store)
  const parts = await Promise.all(
    tables
      .filter((name) => !except.includes(name))
      .map(async (name) => {
        const rows = await store.db.query(`SELECT * FROM "${name}"`)
        return [name, ...rows.map((row) => JSON.stringify(row)).sort()].join('\n')
      }),
  )
  return parts.join('\n\n')
}

/** Runs `work` and compares the store before and after. */
export async function writesNothing(
  t: Test,
  { store }: Pick<TestServer, 'store'>,
  work: () => Promise<unknown>,
  except: readonly string[] = [],
): Promise<void> {
  const before = await dump(store, except)
  await work()
  t.equal(await dump(store, except), before, 'nothing is written')
}
