/** A program that is killed half way through the migrations of this release, on both engines (issue 5; SECURITY §4 row 11). */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { openDb } from '../../src/store/index.ts'
import { migrate, migrationStatus, readMigrations } from '../../src/store/migrate.ts'
import { run } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { emptyFolder } from '../support/processes/data-folder.ts'
import { keyturn, runProgram } from '../support/processes/process.ts'
import { script, source } from '../support/processes/script.ts'
import { testClock } from '../support/server/clock.ts'

const postgres = await startPostgres(t)
const ALL = readMigrations()
const MASTER_KEY = Buffer.alloc(32, 1).toString('base64url')
const NAMES = ALL.map(({ name }) => name)

/** A store as an earlier release left it. */
async function atStep(url: string, steps: number): Promise<void> {
  const db = openDb(url)
  await migrate(db, testClock(), ALL.slice(0, steps))
  await db.close()
}

async function applied(url: string): Promise<string[]> {
  const db = openDb(url)
  try {
    return (await migrationStatus(db)).filter((one) => one.applied_at !== null).map(({ name }) => name)
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

/** A step that alters this table waits for it, with half of its statements done. */
const HALF_WAY = [
  { table: 'roles', before: 3 },
  { table: 'nodes', before: 7 },
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
    `killed half way through ${NAMES[before]}, on PostgreSQL: nothing of it is left, and it is done again (§4 row 11)`,
    async (t) => {
      const url = await postgres.emptyDatabase()
      await atStep(url, before)
      const old = await schema(url)
      const folder = emptyFolder(t, { DATABASE_URL: url, MASTER_KEY })
      const other = new pg.Client({ connectionString: url })
      await other.connect()
      t.teardown(() => other.end())
      await other.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)

      const runners = [1, 2].map(() => runProgram(folder, ['migrate', '--json']))
      // The one in the midst of its statements, the other at the mark of the same step.
      while ((await waiting(url)) < runners.length) await sleep(20)
      for (const { child, ended } of runners) {
        child.kill('SIGKILL')
        await ended
      }
      await other.query('ROLLBACK')
      while ((await waiting(url)) > 0) await sleep(20)
      t.same(await applied(url), NAMES.slice(0, before))
      t.same(await schema(url), old)

      const again = await Promise.all([1, 2].map(() => keyturn(folder, ['migrate', '--json'])))
      for (const { code, stderr } of again) t.equal(code, 0, stderr)
      t.same(
        again.flatMap(({ stdout }) => JSON.parse(stdout).applied).sort(),
        NAMES.slice(before),
        'by two at once, each step once',
      )
    },
  )
}

t.test('of two that migrate one is killed half way: the other does it (§4 rows 9, 11)', async (t) => {
  const url = await postgres.emptyDatabase()
  await atStep(url, 3)
  const folder = emptyFolder(t, { DATABASE_URL: url, MASTER_KEY })
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  t.teardown(() => other.end())
  await other.query('BEGIN; LOCK TABLE roles IN ACCESS EXCLUSIVE MODE')
  const dying = runProgram(folder, ['migrate', '--json'])
  while ((await waiting(url)) < 1) await sleep(20)
  const surviving = keyturn(folder, ['migrate', '--json'])
  while ((await waiting(url)) < 2) await sleep(20)
  dying.child.kill('SIGKILL')
  await dying.ended
  await other.query('ROLLBACK')
  const { code, stdout, stderr } = await surviving
  t.equal(code, 0, stderr)
  t.same(JSON.parse(stdout).applied, NAMES.slice(3))
})

/** Dies before the nth statement of what is to be applied. */
const DYING = `
  import Database from 'better-sqlite3'
  import { openDb } from '${source('store/index.ts')}'
  import { migrate } from '${source('store/migrate.ts')}'
  const [, file, nth] = process.argv
  const db = openDb('sqlite:' + file)
  const { prepare } = Database.prototype
  let left = Number(nth)
  Database.prototype.prepare = function (sql) {
    if (/^(CREATE (UNIQUE )?(TABLE|INDEX) (?!IF)|ALTER|COMMIT)/.test(sql) && left-- === 0) process.kill(process.pid, 'SIGKILL')
    return prepare.call(this, sql)
  }
  await migrate(db, { now: () => 1 })
`

t.test(
  'killed between any two statements, on SQLite: each step is whole or not begun (§4 row 11)',
  async (t) => {
    const left = ALL.slice(3).map(({ statements }) => statements.length)
    const most = left.reduce((sum, count) => sum + count, 0)
    t.ok(most > 20)
    for (const nth of [0, 1, 5, 9, 12, 14, 18]) {
      const file = join(t.testdir(), 'keyturn.db')
      const url = `sqlite:${file}`
      await atStep(url, 3)
      t.equal((await script(DYING, [file, String(nth)])).signal, 'SIGKILL', `${nth} statements`)
      const done = await applied(url)
      t.same(done, NAMES.slice(0, done.length))
      await finish(t, url, done.length)
    }
  },
)

/** What is left is applied without a complaint, which it would not be if half of it were there. */
async function finish(t: Test, url: string, done: number): Promise<void> {
  const db = openDb(url)
  t.same(await migrate(db, testClock()), NAMES.slice(done))
  await db.close()
}
