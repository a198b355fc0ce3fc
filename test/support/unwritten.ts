import type { Test } from 'tap'
import type { Store } from '../../src/store/index.ts'
import type { TestServer } from './server.ts'

/** Every row of every table as text: two equal dumps mean that nothing was written in between. */
export async function dump(store: Store, except: readonly string[] = []): Promise<string> {
  const tables = await store.db.query<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
  )
  const parts = await Promise.all(
    tables
      .filter(({ name }) => !except.includes(name))
      .map(async ({ name }) => {
        const rows = await store.db.query(`SELECT * FROM "${name}"`)
        return [name, ...rows.map((row) => JSON.stringify(row)).sort()].join('\n')
      }),
  )
  return parts.join('\n\n')
}

/** Does `work` and compares the store before and after. */
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
