/** A program of the next release that is killed in the middle of its migrations, on both engines. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { openDb } from '../../src/store/index.ts'
import { migrate, migrationStatus, readMigrations } from '../../src/store/migrate.ts'
import { run } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'
import { laterVersion, makeRelease } from '../support/processes/later-release.ts'
import { keyturn, runProgram } from '../support/processes/process.ts'
import { script, source } from '../support/processes/script.ts'
import { testClock } from '../support/server/clock.ts'

const postgres = await startPostgres(t)
/** Two made-up migrations: each creates something, alters an existing table, and continues. */
const NEXT = makeRelease(t, laterVersion(1), {
  '0900_roles.sql': `-- expand
CREATE TABLE fresh_roles (id TEXT PRIMARY KEY, made_at BIGINT NOT NULL);
CREATE INDEX fresh_roles_by_age ON fresh_roles (made_at);
ALTER TABLE roles ADD COLUMN more BIGINT NOT NULL DEFAULT 0;
CREATE TABLE fresh_scopes (id TEXT PRIMARY KEY);
CREATE UNIQUE INDEX fresh_scopes_ids ON fresh_scopes (id);
`,
  '0901_nodes.sql': `-- expand
CREATE TABLE fresh_nodes (id TEXT PRIMARY KEY);
ALTER TABLE nodes ADD COLUMN more TEXT NOT NULL DEFAULT '';
CREATE INDEX IF NOT EXISTS nodes_by_more ON nodes (more);
CREATE TABLE fresh_hosts (id TEXT PRIMARY KEY);
`,
})
const ALL = NEXT.migrations
const EXISTING = readMigrations().length
const MASTER_KEY = Buffer.alloc(32, 1).toString('base64url')
const NAMES = ALL.map(({ name }) => name)

/** A store as an earlier release left it. */
async function atStep(url: string, steps: number): Promise<void> {
  const db = openDb(url, { create: true })
  await migrate(db, testClock(), ALL.slice(0, steps))
  await db.close()
}

async function applied(url: string): Promise<string[]> {
  const db = openDb(url, { create: true })
  try {
    return (await migrationStatus(db, ALL)).filter((one) => one.applied_at !== null).map(({ name }) => name)
  } finally {
    await db.close()
  }
}

/** Every table with its columns, in order. */
async function schema(url: string): Promise<string[]> {
  const { rows } = await run(
    url,
    `SELECT table_name || '.' || column_name || ' ' || data_type AS one FROM information_schema.columns
      WHERE table_schema = 'public' ORDER BY 1`,
  )
  return rows.map(({ one }) => one)
}

/** A migration that alters this table waits for it, with half of its statements done. */
const HALF_WAY = [
  { table: 'roles', before: EXISTING },
  { table: 'nodes', before: EXISTING + 1 },
]

async function waiting(url: string): Promise<number> {
  const { rows } = await run(
    url,
    `SELECT count(*)::INT AS count FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  )
  return rows[0].count
}

for (const { table, before } of HALF_WAY) {
  t.test(
    `a migration killed half-way on PostgreSQL (${NAMES[before]}) leaves nothing and is run again (docs/security.md Q11)`,
    async (t) => {
      const url = await postgres.emptyDatabase()
      await atStep(url, before)
      const old = await schema(url)
      const folder = emptyFolder(t, { DATABASE_URL: url, MASTER_KEY })
      const other = new pg.Client({ connectionString: url })
      await other.connect()
      t.teardown(() => other.end())
      await other.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)

      const runners = [1, 2].map(() => runProgram(folder, ['migrate', '--json'], NEXT.run))
      // One is in the middle of its statements, the other waits before the same migration.
      while ((await waiting(url)) < runners.length) await sleep(20)
      for (const { child, ended } of runners) {
        child.kill('SIGKILL')
        await ended
      }
      await other.query('ROLLBACK')
      while ((await waiting(url)) > 0) await sleep(20)
      t.same(await applied(url), NAMES.slice(0, before))
      t.same(await schema(url), old)

      const again = await Promise.all([1, 2].map(() => keyturn(folder, ['migrate', '--json'], NEXT.run)))
      for (const { code, stderr } of again) t.equal(code, 0, stderr)
      t.same(
        again.flatMap(({ stdout }) => JSON.parse(stdout).applied).sort(),
        NAMES.slice(before),
        'by two concurrent processes, each migration once',
      )
    },
  )
}

t.test(
  'when one of two migrating processes is killed half-way, the other completes the migration (docs/security.md Q9, Q11)',
  async (t) => {
    const url = await postgres.emptyDatabase()
    await atStep(url, EXISTING)
    const folder = emptyFolder(t, { DATABASE_URL: url, MASTER_KEY })
    const other = new pg.Client({ connectionString: url })
    await other.connect()
    t.teardown(() => other.end())
    await other.query('BEGIN; LOCK TABLE roles IN ACCESS EXCLUSIVE MODE')
    const killed = runProgram(folder, ['migrate', '--json'], NEXT.run)
    while ((await waiting(url)) < 1) await sleep(20)
    const surviving = keyturn(folder, ['migrate', '--json'], NEXT.run)
    while ((await waiting(url)) < 2) await sleep(20)
    killed.child.kill('SIGKILL')
    await killed.ended
    await other.query('ROLLBACK')
    const { code, stdout, stderr } = await surviving
    t.equal(code, 0, stderr)
    t.same(JSON.parse(stdout).applied, NAMES.slice(EXISTING))
  },
)

/** Fail points before which the program dies. */
const KILL_POINTS = /^(CREATE (UNIQUE )?(TABLE|INDEX) (?!IF)|ALTER|COMMIT)/

/** Dies before the nth statement of the pending migrations. */
const KILLED = `
  import Database from 'better-sqlite3'
  import { openDb } from '${source('store/index.ts')}'
  import { migrate } from '${source('store/migrate.ts')}'
  const [, file, nth, steps] = process.argv
  const db = openDb('sqlite:' + file, { create: true })
  const { prepare } = Database.prototype
  let left = Number(nth)
  Database.prototype.prepare = function (sql) {
    if (${KILL_POINTS}.test(sql) && left-- === 0) process.kill(process.pid, 'SIGKILL')
    return prepare.call(this, sql)
  }
  await migrate(db, { now: () => 1 }, JSON.parse(steps))
`

t.test(
  'after a kill between any two statements on SQLite, each migration is applied fully or not at all (docs/security.md Q11)',
  async (t) => {
    const all = ALL.flatMap(({ statements }) => statements).filter((sql) => KILL_POINTS.test(sql)).length
    t.ok(all > 60)
    // In the first migration, and between any two statements of the made-up ones.
    const early = [0, 1, 2, 20, 40]
    const late = Array.from({ length: 10 }, (_, i) => all - 9 + i)
    for (const nth of [...early, ...late]) {
      const file = join(t.testdir(), 'keyturn.db')
      const url = `sqlite:${file}`
      t.equal(
        (await script(KILLED, [file, String(nth), JSON.stringify(ALL)])).signal,
        'SIGKILL',
        `${nth} statements`,
      )
      const done = await applied(url)
      t.same(done, NAMES.slice(0, done.length))
      await finish(t, url, done.length)
    }
  },
)

/** Applies the rest. A migration of which half was already applied would fail here. */
async function finish(t: Test, url: string, done: number): Promise<void> {
  const db = openDb(url, { create: true })
  t.same(await migrate(db, testClock(), ALL), NAMES.slice(done))
  await db.close()
}
