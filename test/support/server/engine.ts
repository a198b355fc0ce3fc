/** The engine on which the flow tests run: SQLite, or with TEST_DATABASE a PostgreSQL where databases may be created. */
import Database from 'better-sqlite3'
import pg from 'pg'
import type { Store } from '../../../src/store/index.ts'
import { type Claimed, CUT_ALL, type Databases, openDatabases, run } from '../postgres/databases.ts'
import type { Owner } from '../processes/data-folder.ts'

const admin = process.env.TEST_DATABASE

export const ENGINE = admin === undefined ? 'SQLite' : 'PostgreSQL'

let databases: Promise<Databases> | undefined
const shared = new Map<string, Promise<Claimed>>()

/** @param file a store that several servers of this process share, or that outlives them; otherwise a new one */
export async function claimStore(file?: string): Promise<Claimed> {
  if (admin === undefined) return { url: `sqlite:${file ?? ':memory:'}`, release: async () => {} }
  databases ??= openDatabases(admin)
  const { claim } = await databases
  if (file === undefined) return claim()
  const claimed = shared.get(file) ?? claim()
  shared.set(file, claimed)
  // Released when the process ends.
  return { url: (await claimed).url, release: async () => {} }
}

/** Locks the store against writes until the returned function is called. */
export async function lockStore(owner: Owner, { url }: { url: string }): Promise<() => Promise<void>> {
  if (admin === undefined) {
    const other = new Database(url.replace('sqlite:', ''))
    owner.teardown(() => other.close())
    other.exec('BEGIN EXCLUSIVE')
    return async () => void other.exec('ROLLBACK')
  }
  const other = new pg.Client({ connectionString: url })
  owner.teardown(() => other.end())
  await other.connect()
  await other.query(
    'BEGIN; LOCK TABLE client_sessions, revisions, status_entries, revoked_tokens IN EXCLUSIVE MODE',
  )
  return async () => void (await other.query('ROLLBACK'))
}

/** Makes the server’s connections read-only until the returned function is called. */
export async function forbidWriting(store: Pick<Store, 'db'>, { url }: { url: string }) {
  if (admin === undefined) {
    await store.db.batch([{ sql: 'PRAGMA query_only = ON' }])
    return async () => {}
  }
  const name = new URL(url).pathname.slice(1)
  await run(url, `ALTER DATABASE ${name} SET default_transaction_read_only = on`)
  // The setting applies to new connections.
  await run(url, CUT_ALL)
  return async () => {
    await run(admin, `ALTER DATABASE ${name} RESET ALL`)
    await run(url, CUT_ALL)
  }
}
