/**
 * Databases for tests on one PostgreSQL, shared by all processes that test on it. Creating one takes longer than most
 * tests, so they are reused. The process that uses a database holds an advisory lock, which ends with the
 * process.
 */
import pg from 'pg'
import { openDb } from '../../../src/store/index.ts'
import { migrate } from '../../../src/store/migrate.ts'
import { testClock } from '../server/clock.ts'
import { until } from '../server/waiting.ts'

/** Has the schema and the rows of the migrations, and nothing else. */
const TEMPLATE = 'keyturn_template'
const MAX_DATABASES = 200

export interface Claimed {
  readonly url: string
  release(): Promise<void>
}

export interface Databases {
  /** With the schema, as after the first start. */
  claim(): Promise<Claimed>
  close(): Promise<void>
}

export function urlOf(admin: string, database: string): string {
  const url = new URL(admin)
  url.pathname = `/${database}`
  return url.href
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Whether the connection keeps the process alive. Missing from the driver’s types. */
function keepAlive(client: pg.Client, yes: boolean): void {
  const loop = client as unknown as Record<'ref' | 'unref', () => void>
  if (yes) loop.ref()
  else loop.unref()
}

/** Runs one statement on its own connection, as an administrator. */
export async function run(url: string, sql: string): Promise<pg.QueryResult> {
  const client = await connected(url)
  try {
    return await client.query(sql)
  } finally {
    await client.end()
  }
}

export async function makeTemplate(admin: string): Promise<void> {
  await run(admin, `CREATE DATABASE ${TEMPLATE}`)
  const db = openDb(urlOf(admin, TEMPLATE))
  await migrate(db, testClock())
  await db.close()
}

/** @param admin the server where databases are created, with a user that may create them */
export async function openDatabases(admin: string): Promise<Databases> {
  const client = await connected(admin)
  const { rows } = await client.query<{ datname: string }>('SELECT datname FROM pg_database')
  const known = new Set(rows.map(({ datname }) => datname))
  const reset = await resetting(admin)
  keepAlive(client, false)
  /** One for each database: on a new connection PostgreSQL reads the definitions of all tables first. */
  const resetters = new Map<string, pg.Client>()
  let turn: Promise<unknown> = Promise.resolve()

  async function resetDatabase(url: string): Promise<void> {
    const kept = resetters.get(url)
    const resetter = kept ?? (await connected(url))
    resetters.set(url, resetter)
    keepAlive(resetter, true)
    try {
      await resetter.query(reset)
    } catch (error) {
      resetters.delete(url)
      if (!kept) throw error
      // A test has cut it, or PostgreSQL has restarted.
      await resetDatabase(url)
    } finally {
      keepAlive(resetter, false)
    }
  }

  async function claim(): Promise<Claimed> {
    for (let i = 1; i <= MAX_DATABASES; i += 1) {
      // One connection could claim the same database twice, because it can take an advisory lock again.
      if (held.has(i)) continue
      const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS ours', [i])
      if (!rows[0]?.ours) continue
      held.add(i)
      const name = `keyturn_test_${i}`
      const url = urlOf(admin, name)
      if (!known.has(name)) {
        const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])
        if (rowCount === 0)
          await client.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE} STRATEGY FILE_COPY`)
        known.add(name)
      }
      await client.query(`ALTER DATABASE ${name} RESET ALL`)
      await resetDatabase(url)
      return {
        url,
        async release() {
          keepAlive(client, true)
          await client.query('SELECT pg_advisory_unlock($1)', [i])
          keepAlive(client, false)
          held.delete(i)
        },
      }
    }
    throw new Error(`all ${MAX_DATABASES} databases are in use`)
  }
  const held = new Set<number>()

  return {
    claim() {
      // This connection must not keep the process alive after its tests.
      keepAlive(client, true)
      const mine = turn.then(claim).finally(() => keepAlive(client, false))
      turn = mine.catch(() => {})
      return mine
    },
    async close() {
      await turn
      await Promise.all([client, ...resetters.values()].map((one) => one.end()))
    },
  }
}

/** Ends every other connection to this database. */
export const CUT_ALL = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE datname = current_database() AND pid <> pg_backend_pid()`

/** Statements that reset a used database to the state of the template. */
async function resetting(admin: string): Promise<string> {
  const template = urlOf(admin, TEMPLATE)
  const { rows } = await run(template, `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)
  const tables: string[] = rows.map(({ tablename }) => tablename)
  const statements = [
    // Connections left behind by the previous test.
    CUT_ALL,
    'SET session_replication_role = replica',
    ...tables.map((table) => `DELETE FROM ${table}`),
  ]
  for (const table of tables) {
    const { rows: all } = await run(template, `SELECT json_agg(t)::text AS content FROM ${table} t`)
    const content = all[0]?.content
    if (!content) continue
    const literal = content.replaceAll("'", "''")
    statements.push(
      `INSERT INTO ${table} SELECT * FROM json_populate_recordset(null::${table}, '${literal}')`,
    )
  }
  return statements.join(';\n')
}

/** Resolves when a backend of this database waits for `event`. Outside a transaction, where the statistics would not change. */
export async function untilWaiting(url: string, event: string): Promise<void> {
  const seen = `SELECT 1 FROM pg_stat_activity
                 WHERE datname = current_database() AND (wait_event_type = '${event}' OR wait_event = '${event}')`
  await until(async () => (await run(url, seen)).rowCount !== 0)
}
