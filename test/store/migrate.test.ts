import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { openBase } from '../../src/node/base.ts'
import type { Db } from '../../src/store/db.ts'
import { openDb } from '../../src/store/index.ts'
import {
  ensureSchema,
  type MigrationMode,
  migrate,
  migrationStatus,
  readMigrations,
} from '../../src/store/migrate.ts'
import { BOTH, FIRST, SECOND, step } from '../support/postgres/example-migrations.ts'
import { script, source } from '../support/processes/script.ts'
import { testClock } from '../support/server/clock.ts'
import { testLogger } from '../support/server/log.ts'
import { testConfig } from '../support/server/server.ts'

const clock = testClock(1_000)

function open(t: Test, file = join(t.testdir(), 'keyturn.db')): { db: Db; file: string } {
  const db = openDb(`sqlite:${file}`, { create: true })
  t.teardown(() => db.close())
  return { db, file }
}

async function tables(db: Db): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name`,
  )
  return rows.map((row) => row.name)
}

t.test('missing migrations are applied once and in order', async (t) => {
  const { db } = open(t as Test)
  t.same(await migrate(db, clock, [FIRST]), ['0001_first'])
  t.same(await migrate(db, clock, BOTH), ['0002_second'])
  t.same(await migrate(db, clock, BOTH), [])
  t.same(await db.query('SELECT id FROM b'), [{ id: 'one' }])
})

t.test('the status lists applied migrations with their time, and pending ones', async (t) => {
  const { db } = open(t as Test)
  const missing = { name: '0002_second', applied_at: null }
  t.same(
    await migrationStatus(db, BOTH),
    [{ name: '0001_first', applied_at: null }, missing],
    'of a new database',
  )
  await migrate(db, clock, [FIRST])
  t.same(await migrationStatus(db, BOTH), [{ name: '0001_first', applied_at: 1_000 }, missing])
})

t.test('a migration that was changed after it was applied is refused (docs/security.md Q11)', async (t) => {
  const { db } = open(t as Test)
  await migrate(db, clock, [FIRST])
  const changed = [{ ...FIRST, checksum: 'other' }, SECOND]
  const refusal = {
    name: 'StoreUnusable',
    message: 'migration 0001_first was changed after it had been applied',
  }
  await t.rejects(migrate(db, clock, changed), refusal)
  await t.rejects(migrationStatus(db, changed), refusal)
  t.same(await tables(db), ['a', 'schema_migrations'], 'nothing after it is applied')
})

t.test('a database that is newer than the program is refused (docs/security.md Q11)', async (t) => {
  const { db } = open(t as Test)
  await migrate(db, clock, BOTH)
  const refusal = {
    name: 'StoreUnusable',
    message: /newer than this program \(it has 0002_second\): upgrade/,
  }
  await t.rejects(migrate(db, clock, [FIRST]), refusal)
  await t.rejects(migrationStatus(db, [FIRST]), refusal)
})

t.test(
  'a migration that fails half-way is rolled back, and can be applied later (docs/security.md Q11)',
  async (t) => {
    const { db } = open(t as Test)
    const failing = step(
      '0002_second',
      'CREATE TABLE b (id TEXT)',
      'INSERT INTO b VALUES (1)',
      'no SQL at all',
    )
    await t.rejects(migrate(db, clock, [FIRST, failing]))
    t.same(
      await tables(db),
      ['a', 'schema_migrations'],
      'the migration before it is kept, and nothing of the failed one',
    )
    t.same(await migrationStatus(db, BOTH), [
      { name: '0001_first', applied_at: 1_000 },
      { name: '0002_second', applied_at: null },
    ])
    t.same(await migrate(db, clock, BOTH), ['0002_second'])
  },
)

t.test(
  'a process killed at any moment leaves each migration applied or not begun (docs/security.md Q1, Q11)',
  async (t) => {
    const code = `
    const { openDb } = await import(${JSON.stringify(source('store/index.ts'))})
    const { migrate } = await import(${JSON.stringify(source('store/migrate.ts'))})
    const [file, left, steps] = process.argv.slice(1)
    const db = openDb('sqlite:' + file, { create: true })
    let batches = Number(left)
    const dying = { ...db, batch(steps) { if (batches-- === 0) process.kill(process.pid, 'SIGKILL'); return db.batch(steps) } }
    await migrate(dying, { now: () => 1 }, JSON.parse(steps))`
    for (const [batches, applied] of [
      [0, 0],
      [1, 0],
      [2, 1],
    ] as const) {
      const file = join(t.testdir(), 'keyturn.db')
      const { signal } = await script(code, [file, String(batches), JSON.stringify(BOTH)])
      t.equal(signal, 'SIGKILL')
      const { db } = open(t as Test, file)
      const done = (await migrationStatus(db, BOTH)).filter((one) => one.applied_at !== null)
      t.equal(done.length, applied, `killed before batch ${batches}`)
      t.equal((await tables(db)).includes('a'), applied > 0)
      t.same(
        await migrate(db, clock, BOTH),
        BOTH.slice(applied).map((one) => one.name),
      )
      await db.close()
    }
  },
)

t.test(
  'two processes that migrate one database apply each migration once (docs/security.md Q9, Q11)',
  async (t) => {
    const { db, file } = open(t as Test)
    const { db: other } = open(t as Test, file)
    const many = Array.from({ length: 10 }, (_, i) => step(`${1000 + i}_x`, `CREATE TABLE t${i} (id TEXT)`))
    const runs = await Promise.all([db, other, db, other].map((one) => migrate(one, clock, many)))
    t.same(
      runs.flat().sort(),
      many.map((one) => one.name),
    )
    t.equal((await tables(db)).length, 11)
  },
)

t.test(
  'migrations are the numbered files of the folder, and a statement ends with ; at the end of a line',
  async (t) => {
    const folder = t.testdir({
      '0002_b.sql': 'CREATE TABLE b (id TEXT);\n',
      '0001_a.sql':
        "-- A comment; with a semicolon;\nCREATE TABLE a (\n  id TEXT\n);\n\nINSERT INTO a VALUES (';');\n",
      '0002_b.postgres.sql': 'nothing for this engine;\n',
      'README.md': 'x',
      '3_c.sql': 'x',
    })
    const steps = readMigrations(pathToFileURL(`${folder}/`))
    t.same(
      steps.map((one) => [one.name, one.statements]),
      [
        ['0001_a', ['CREATE TABLE a (\n  id TEXT\n)', "INSERT INTO a VALUES (';')"]],
        ['0002_b', ['CREATE TABLE b (id TEXT)']],
      ],
    )
    const { db } = open(t as Test, join(folder, 'keyturn.db'))
    t.same(await migrate(db, clock, steps), ['0001_a', '0002_b'])
  },
)

t.test('the checksum depends on the text of a migration, not on its line endings', async (t) => {
  const folder = t.testdir({ '0001_a.sql': 'CREATE TABLE a (id TEXT);\n' })
  const checksum = () => readMigrations(pathToFileURL(`${folder}/`))[0]?.checksum
  const before = checksum()
  writeFileSync(join(folder, '0001_a.sql'), 'CREATE TABLE a (id TEXT);\r\n')
  t.equal(checksum(), before, 'a checkout with other line ends is no change')
  writeFileSync(join(folder, '0001_a.sql'), 'CREATE TABLE a (ie TEXT);\n')
  t.not(checksum(), before)
})

t.test('the migrations are portable SQL', async (t) => {
  for (const { name, statements } of readMigrations()) {
    const sql = statements.join(';\n')
    for (const word of [
      /AUTOINCREMENT/i,
      /\bSERIAL\b/i,
      /now\s*\(/i,
      /\bCURRENT_(CATALOG|DATE|ROLE|SCHEMA|TIME|TIMESTAMP|USER)\b/i,
      /PRAGMA/i,
      /\bINTEGER\b/i,
      /WITHOUT ROWID/i,
    ]) {
      t.notMatch(sql, word, `${name} has no ${word.source}`)
    }
  }
})

t.test(
  '`create` makes the schema in an empty database, which other modes refuse; `apply` brings it up to date; `current` refuses an older one',
  async (t) => {
    const { db } = open(t as Test)
    for (const mode of ['apply', 'current'] as const) {
      await t.rejects(ensureSchema(db, clock, mode, 'test.db', [FIRST]), {
        name: 'StoreMissing',
        message: 'no database at test.db',
      })
      t.same(await tables(db), [])
    }
    t.same(await ensureSchema(db, clock, 'create', 'test.db', [FIRST]), ['0001_first'])
    t.same(await ensureSchema(db, clock, 'current', 'test.db', [FIRST]), [])
    await t.rejects(ensureSchema(db, clock, 'current', 'test.db', BOTH), {
      name: 'StoreUnusable',
      message: 'the database needs 1 migration(s): run npx keyturn migrate',
    })
    t.same(await tables(db), ['a', 'schema_migrations'])
    t.same(await ensureSchema(db, clock, 'apply', 'test.db', BOTH), ['0002_second'])
    await t.rejects(ensureSchema(db, clock, 'current', 'test.db', [FIRST]), /newer than this program/)
  },
)

t.test(
  'a start creates the whole schema of a new database, and a command closes a database that it refuses',
  async (t) => {
    const file = join(t.testdir(), 'keyturn.db')
    const base = (mode: MigrationMode) =>
      openBase(testConfig({ DATABASE_URL: `sqlite:${file}` }), { logger: testLogger() }, mode)
    await t.rejects(base('current'), { name: 'StoreMissing', message: `no database at ${file}` })
    t.notOk(existsSync(file))
    const { store } = await base('create')
    t.notOk((await migrationStatus(store.db)).some((one) => one.applied_at === null))
    const newer = `INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ('9999_future', 'x', 1)`
    await store.db.batch([{ sql: newer }])
    await store.db.close()
    await t.rejects(base('current'), { name: 'StoreUnusable', message: /newer than this program/ })
    t.notOk(existsSync(`${file}-wal`), 'closing the last connection has removed the write-ahead log')
  },
)
