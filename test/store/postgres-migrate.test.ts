/** Migrations on PostgreSQL: the same files, run by several nodes at once, and after a kill (docs/security.md Q11). */
import pg from 'pg'
import t, { type Test } from 'tap'
import type { Db } from '../../src/store/db.ts'
import { openDb } from '../../src/store/index.ts'
import { migrate, migrationStatus, readMigrations } from '../../src/store/migrate.ts'
import { run, untilWaiting } from '../support/postgres/databases.ts'
import { BOTH, FIRST, step } from '../support/postgres/example-migrations.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { script, source } from '../support/processes/script.ts'
import { testClock } from '../support/server/clock.ts'

const postgres = await startPostgres(t)
const clock = testClock(1_000)

function connect(t: Test, url: string, timeout = 120): Db {
  const db = openDb(url, { timeout })
  t.teardown(() => db.close())
  return db
}

async function tables(db: Db): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`,
  )
  return rows.map(({ name }) => name).sort()
}

const MIGRATE = `
  const { openDb } = await import(${JSON.stringify(source('store/index.ts'))})
  const { migrate } = await import(${JSON.stringify(source('store/migrate.ts'))})
  const [url, left, steps] = process.argv.slice(1)
  const db = openDb(url, { timeout: 120 })
  let batches = Number(left)
  const watched = { ...db, batch(...args) {
    if (batches-- === 0) process.kill(process.pid, 'SIGKILL')
    return db.batch(...args)
  } }
  const done = await migrate(watched, { now: () => 1 }, ...(steps ? [JSON.parse(steps)] : []))
  await db.close()
  process.stdout.write(JSON.stringify(done))`

t.test(
  'missing migrations are applied once and in order, and the status lists them with their time',
  async (t) => {
    const db = connect(t as Test, await postgres.emptyDatabase())
    t.same(
      (await migrationStatus(db, BOTH)).map((one) => one.applied_at),
      [null, null],
      'of a new database',
    )
    t.same(await migrate(db, clock, [FIRST]), ['0001_first'])
    t.same(await migrate(db, clock, BOTH), ['0002_second'])
    t.same(await migrate(db, clock, BOTH), [])
    t.same(
      (await migrationStatus(db, BOTH)).map((one) => one.applied_at),
      [1_000, 1_000],
    )
    t.same(await db.query('SELECT id FROM b'), [{ id: 'one' }])
  },
)

t.test(
  'nodes that start at the same moment apply each migration once (docs/security.md Q9, Q11)',
  async (t) => {
    const url = await postgres.emptyDatabase()
    const runs = await Promise.all(Array.from({ length: 4 }, () => script(MIGRATE, [url, '-1'])))
    for (const { code, stderr } of runs) t.equal(code, 0, stderr)
    const applied = runs.flatMap(({ stdout }) => JSON.parse(stdout) as string[])
    t.same(
      applied.sort(),
      readMigrations().map(({ name }) => name),
    )
  },
)

t.test('four concurrent connections of one process apply each migration once, repeatedly', async (t) => {
  for (let round = 0; round < 5; round += 1) {
    const url = await postgres.emptyDatabase()
    const nodes = Array.from({ length: 4 }, () => connect(t as Test, url))
    const runs = await Promise.all(nodes.map((db) => migrate(db, clock, BOTH)))
    t.same(runs.flat().sort(), ['0001_first', '0002_second'])
    await Promise.all(nodes.map((db) => db.close()))
  }
})

t.test(
  'a migration may take longer than the statement timeout, and so may waiting for it (docs/security.md Q11)',
  async (t) => {
    const url = await postgres.emptyDatabase()
    const slow = step('0001_slow', 'CREATE TABLE a (id TEXT)', `INSERT INTO a SELECT 'x' FROM pg_sleep(2.6)`)
    const [one, other] = [connect(t as Test, url, 2), connect(t as Test, url, 2)]
    const runs = await Promise.all([migrate(one, clock, [slow]), migrate(other, clock, [slow])])
    t.same(runs.flat(), ['0001_slow'])
    t.same(await one.query('SELECT id FROM a'), [{ id: 'x' }])
  },
)

t.test('a migration that waits for a table lock does not block other statements', async (t) => {
  const url = await postgres.emptyDatabase()
  const [node, migrating] = [connect(t as Test, url), connect(t as Test, url, 2)]
  await migrate(node, clock, [FIRST])
  // pg_dump holds such a lock for as long as it runs.
  const dump = new pg.Client({ connectionString: url })
  await dump.connect()
  t.teardown(() => dump.end())
  await dump.query('BEGIN; SELECT * FROM a')
  let done = false
  const column = step('0002_column', 'ALTER TABLE a ADD COLUMN more BIGINT NOT NULL DEFAULT 0')
  const migrated = migrate(migrating, clock, [FIRST, column]).finally(() => {
    done = true
  })
  // Statements that had to queue behind the migration for as long as it waits would not return.
  for (let i = 0; i < 3; i += 1) {
    await untilWaiting(url, 'Lock')
    await node.query('SELECT id FROM a')
    t.equal(await node.batch([{ sql: 'INSERT INTO a VALUES ($1)', params: [`n${i}`] }]), true)
  }
  t.equal(done, false)
  await dump.query('ROLLBACK')
  t.same(await migrated, ['0002_column'])
})

t.test('a migration that fails half-way is rolled back (docs/security.md Q11)', async (t) => {
  const db = connect(t as Test, await postgres.emptyDatabase())
  const failing = step('0002_second', 'CREATE TABLE b (id TEXT)', 'no SQL at all')
  await t.rejects(migrate(db, clock, [FIRST, failing]), /syntax error/)
  t.same(await tables(db), ['a', 'schema_migrations'])
  t.same(await migrate(db, clock, BOTH), ['0002_second'])
})

t.test(
  'a process killed at any moment leaves each migration applied or not begun (docs/security.md Q1, Q11)',
  async (t) => {
    for (const [batches, applied] of [
      [0, 0],
      [1, 0],
      [2, 1],
    ] as const) {
      const url = await postgres.emptyDatabase()
      const { signal } = await script(MIGRATE, [url, String(batches), JSON.stringify(BOTH)])
      t.equal(signal, 'SIGKILL')
      const db = connect(t as Test, url)
      t.same(
        await migrate(db, clock, BOTH),
        BOTH.slice(applied).map((one) => one.name),
      )
    }
  },
)

t.test(
  'a process killed within a migration leaves nothing behind and releases its lock (docs/security.md Q11)',
  async (t) => {
    const url = await postgres.emptyDatabase()
    const slow = step('0002_second', 'CREATE TABLE b (id TEXT)', `INSERT INTO b SELECT 'x' FROM pg_sleep(60)`)
    const killer = `
    setInterval(async () => {
      const rows = await db.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()")
      if (rows.length > 0) process.kill(process.pid, 'SIGKILL')
    }, 20)
    const done`
    const code = MIGRATE.replace('const done', killer)
    const { signal } = await script(code, [url, '-1', JSON.stringify([FIRST, slow])])
    t.equal(signal, 'SIGKILL')
    // PostgreSQL notices a lost client only when it writes to it, which a sleep does not, so the backend is terminated.
    await run(url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)
    const db = connect(t as Test, url)
    t.same(await tables(db), ['a', 'schema_migrations'])
    t.same(await migrate(db, clock, BOTH), ['0002_second'])
  },
)
