/** Which programs can use a store that a newer program has changed, and what a newer program may change (docs/upgrades.md). */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import type { Db } from '../../src/store/db.ts'
import { createStore, openDb } from '../../src/store/index.ts'
import {
  ensureSchema,
  type Migration,
  migrate,
  migrationStatus,
  readMigrations,
} from '../../src/store/migrate.ts'
import { isOlder } from '../../src/store/older-nodes.ts'
import { version } from '../../src/version.ts'
import { testClock } from '../support/server/clock.ts'
import { harm } from './migration-rules.ts'

const clock = testClock(1_000_000)
const migrations = readMigrations()

function files(t: Test, contents: Record<string, string>): Migration[] {
  return readMigrations(pathToFileURL(`${t.testdir(contents)}/`))
}

function open(t: Test): Db {
  const db = openDb('sqlite::memory:')
  t.teardown(() => db.close())
  return db
}

const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
const later = `${major}.${minor + 1}.0`

t.test(
  'every migration declares on its first line which versions can use the store afterwards',
  async (t) => {
    for (const migration of migrations) {
      t.match(migration.checksum, /^(expand|contract \d+\.\d+\.\d+):/, migration.name)
    }
  },
)

t.test('no migration breaks an older program that still serves, unless it declares so', async (t) => {
  for (const migration of migrations) t.same(harm(migration), [], migration.name)
})

t.test('the rules for migrations detect harmful statements and accept harmless ones', async (t) => {
  const wrong: Record<string, RegExp> = {
    'DROP TABLE users': /removes something/,
    'DROP INDEX client_sessions_by_user': /removes something/,
    'ALTER TABLE users DROP COLUMN email': /removes something/,
    'ALTER TABLE users RENAME COLUMN email TO mail': /renames something/,
    'ALTER TABLE users RENAME TO members': /renames something/,
    'ALTER TABLE users ALTER COLUMN email TYPE BIGINT': /changes a column/,
    'ALTER TABLE users ALTER email SET NOT NULL': /changes a column/,
    'ALTER TABLE users ADD COLUMN age BIGINT NOT NULL': /does not fill/,
    'ALTER TABLE users ADD age BIGINT NOT NULL': /does not fill/,
    'ALTER TABLE users ADD COLUMN age BIGINT DEFAULT random()': /not a constant/,
    'ALTER TABLE users ADD COLUMN nick TEXT UNIQUE': /adds a constraint/,
    'ALTER TABLE users ADD COLUMN age BIGINT NOT NULL DEFAULT 0 CHECK (age > 1)': /adds a constraint/,
    'ALTER TABLE users ADD CONSTRAINT grown CHECK (age > 17)': /adds a constraint/,
    'CREATE UNIQUE INDEX one_email ON users (email)': /adds a constraint/,
    'CREATE INDEX users_by_email ON users (email)': /cannot create it beforehand/,
    "UPDATE users SET email = ''": /locks them/,
    'DELETE FROM users WHERE disabled = 1': /locks them/,
    'CREATE TRIGGER x BEFORE INSERT ON users BEGIN SELECT 1; END': /adds a constraint/,
    VACUUM: /known to be harmless/,
    'LOCK TABLE users': /known to be harmless/,
  }
  const folder = (sql: string, first: string) => ({ '0100_x.sql': `${first}\n${sql};\n` })
  for (const [sql, what] of Object.entries(wrong)) {
    t.match(
      files(t as Test, folder(sql, '-- expand'))
        .flatMap(harm)
        .join(),
      what,
      sql,
    )
    t.same(files(t as Test, folder(sql, '-- contract: 0.3.0')).flatMap(harm), [], `${sql}, declared`)
  }
  const many = 'ALTER TABLE users ADD COLUMN a TEXT;\nALTER TABLE client_sessions ADD COLUMN a TEXT'
  t.match(
    files(t as Test, folder(many, '-- expand'))
      .flatMap(harm)
      .join(),
    /locks 2 old tables/,
  )

  const right = [
    'ALTER TABLE users ADD COLUMN nick TEXT',
    "ALTER TABLE users ADD COLUMN nick TEXT NOT NULL DEFAULT ''",
    'ALTER TABLE users ADD COLUMN age BIGINT NOT NULL DEFAULT 0',
    'CREATE INDEX IF NOT EXISTS users_by_email ON users (email)',
    'CREATE TABLE fresh (id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users (id), UNIQUE (user_id))',
    'CREATE TABLE fresh (id TEXT);\nCREATE UNIQUE INDEX fresh_ids ON fresh (id);\nALTER TABLE fresh ADD COLUMN x TEXT NOT NULL',
    "INSERT INTO revisions (name, value) VALUES ('more', 1)",
  ]
  for (const sql of right) t.same(files(t as Test, folder(sql, '-- expand')).flatMap(harm), [], sql)
})

const FIRST = { '0001_a.sql': 'CREATE TABLE a (id TEXT);\n' }
const EXPAND = { '0002_b.sql': '-- expand\nCREATE TABLE b (id TEXT);\n' }
const contract = (oldest: string) => ({ '0003_c.sql': `-- contract: ${oldest}\nDROP TABLE a;\n` })
const NODES = {
  '0001_a.sql':
    'CREATE TABLE a (id TEXT);\nCREATE TABLE nodes (hostname TEXT, pid BIGINT, version TEXT, seen_at BIGINT);\n',
}

t.test('a program starts and continues with a store that a newer program has expanded', async (t) => {
  const db = open(t as Test)
  const [older, newer] = [files(t as Test, FIRST), files(t as Test, { ...FIRST, ...EXPAND })]
  await migrate(db, clock, newer)
  t.same(await migrate(db, clock, older), [])
  for (const mode of ['apply', 'current'] as const)
    t.same(await ensureSchema(db, clock, mode, 'test.db', older), [])
  const at = clock.now()
  t.same(await migrationStatus(db, older), [
    { name: '0001_a', applied_at: at },
    { name: '0002_b', applied_at: at, newer: true },
  ])
})

t.test(
  'a program refuses a store that was contracted for newer versions, and names the oldest that can use it',
  async (t) => {
    for (const [oldest, usable] of [
      [later, false],
      [version, true],
      ['0.0.1', true],
    ] as const) {
      const db = open(t as Test)
      await migrate(db, clock, files(t as Test, { ...NODES, ...EXPAND, ...contract(oldest) }))
      const older = files(t as Test, NODES)
      if (usable) {
        t.equal((await migrationStatus(db, older)).length, 3, oldest)
        continue
      }
      const refusal = {
        name: 'StoreUnusable',
        message: `the database has 0003_c, after which only keyturn ${oldest} and later can use it, and this is ${version}: upgrade keyturn`,
      }
      await t.rejects(migrationStatus(db, older), refusal)
      await t.rejects(ensureSchema(db, clock, 'apply', 'test.db', older), refusal)
      await t.rejects(ensureSchema(db, clock, 'current', 'test.db', older), refusal)
    }
  },
)

t.test('migrations of two unrelated programs are refused', async (t) => {
  const db = open(t as Test)
  await migrate(db, clock, files(t as Test, { ...FIRST, ...EXPAND }))
  const other = files(t as Test, { ...FIRST, '0002_other.sql': '-- expand\nCREATE TABLE other (id TEXT);\n' })
  await t.rejects(migrate(db, clock, other), /has 0002_b, .* lacks 0002_other: it belongs to another program/)
})

t.test('a contracting migration is refused while an older node serves', async (t) => {
  const db = open(t as Test)
  const all = files(t as Test, { ...NODES, ...EXPAND, ...contract('0.10.0') })
  await migrate(db, clock, all.slice(0, 2))
  const node = (pid: number, version: string, seenAt: number) => ({
    sql: 'INSERT INTO nodes (hostname, pid, version, seen_at) VALUES ($1, $2, $3, $4)',
    params: ['h', pid, version, seenAt],
  })
  const now = clock.now()
  await db.batch([node(1, '0.9.9', now - 5), node(2, '0.10.0', now), node(3, '0.8.0', now - 31)])
  await t.rejects(migrate(db, clock, all), {
    name: 'StoreUnusable',
    message:
      '0003_c cannot be applied while a node older than 0.10.0 serves: h, pid 1 (0.9.9). Upgrade or stop it first',
  })
  t.same(await db.query('SELECT id FROM a'), [], 'it is still there')
  clock.tick(30)
  t.same(await migrate(db, clock, all), ['0003_c'])
})

t.test('versions are compared as numbers', async (t) => {
  const older: [string, string][] = [
    ['0.9.0', '0.10.0'],
    ['0.1.0', '0.1.1'],
    ['1.99.99', '2.0.0'],
    ['0.1.0-rc.1', '0.1.1'],
  ]
  for (const [one, other] of older) {
    t.equal(isOlder(one, other), true, `${one} ${other}`)
    t.equal(isOlder(other, one), false, `${other} ${one}`)
  }
  t.equal(isOlder('0.1.0', '0.1.0'), false)
  t.equal(isOlder(`${major}.${minor}.${patch}`, version), false)
})

t.test('a transfer refuses a store with a migration of a newer version', async (t) => {
  const { assertTransferable, transfer } = await import('../../src/store/transfer.ts')
  const file = (name: string) => `sqlite:${join(t.testdirName, name)}`
  t.testdir({})
  const [source, target] = [
    openDb(file('one.db'), { create: true }),
    openDb(file('two.db'), { create: true }),
  ]
  t.teardown(() => Promise.all([source.close(), target.close()]))
  await migrate(source, clock)
  await assertTransferable(source, 'test.db')
  const more = {
    sql: `INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ('9999_more', 'expand:x', 1)`,
  }
  await source.batch([more])
  t.equal((await createStore(source).nodes.list()).length, 0, 'it can be used')
  await t.rejects(assertTransferable(source, 'test.db'), {
    name: 'TransferRefused',
    message: /newer than this program/,
  })
  await migrate(target, clock)
  await target.batch([more])
  await t.rejects(transfer({ source, target, clock }), { name: 'TransferRefused', message: /newer/ })
})
