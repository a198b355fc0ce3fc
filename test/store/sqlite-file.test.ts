/** The embedded database as a file: its permissions, its creation, and the files that are refused. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { openBase } from '../../src/node/base.ts'
import { StoreUnusable } from '../../src/store/db.ts'
import { createStore, openCopy, openDb } from '../../src/store/index.ts'
import { migrate } from '../../src/store/migrate.ts'
import { monitorDb } from '../../src/store/monitored-db.ts'
import { script, source } from '../support/processes/script.ts'
import { testClock } from '../support/server/clock.ts'
import { testLogger } from '../support/server/log.ts'
import { testConfig } from '../support/server/server.ts'

const fileIn = (t: Test) => join(t.testdir(), 'data', 'keyturn.db')

/** Opens a database as `serve` does. */
const open = (file: string) =>
  openBase(testConfig({ DATABASE_URL: `sqlite:${file}` }), { logger: testLogger() }, 'create')

async function make(file: string): Promise<void> {
  const base = await open(file)
  await base.store.singleUse.claim('jti', 1)
  await base.store.db.close()
}

t.test('a missing folder is created with mode 0700 and the database with mode 0600', async (t) => {
  const before = process.umask(0)
  t.teardown(() => process.umask(before))
  const file = join(t.testdir(), 'a', 'b', 'keyturn.db')
  const { store } = await open(file)
  t.teardown(() => store.db.close())
  await store.singleUse.claim('jti', 1)
  for (const name of [file, `${file}-wal`, `${file}-shm`]) t.equal(statSync(name).mode & 0o777, 0o600, name)
  t.equal(statSync(dirname(file)).mode & 0o777, 0o700)
  t.same(
    readdirSync(dirname(file)).sort(),
    ['keyturn.db', 'keyturn.db-shm', 'keyturn.db-wal'],
    'no temporary file remains',
  )
})

t.test('an empty file is refused and not filled (docs/security.md Q4)', async (t) => {
  const file = fileIn(t)
  mkdirSync(dirname(file))
  writeFileSync(file, '')
  await t.rejects(open(file), {
    name: 'StoreUnusable',
    message: /keyturn\.db is empty or cut off: restore a backup/,
  })
  t.equal(statSync(file).size, 0)
})

t.test('a file that is not a database is refused and not changed (docs/security.md Q4)', async (t) => {
  const file = fileIn(t)
  mkdirSync(dirname(file))
  for (const content of ['x', 'not a database\n'.repeat(1000), Buffer.alloc(8192)]) {
    writeFileSync(file, content)
    await t.rejects(open(file), { name: 'StoreUnusable', message: /keyturn\.db (cannot be opened|is empty)/ })
    t.ok(readFileSync(file).equals(Buffer.from(content)))
  }
})

t.test('a truncated database is refused and not replaced (docs/security.md Q4)', async (t) => {
  const file = fileIn(t)
  await make(file)
  const { size } = statSync(file)
  for (const length of [1, 15, 16, 99, 100, 511, 512, 4095, 4096, size / 2, size - 4096, size - 4097]) {
    const cut = `${file}.${length}`
    copyFileSync(file, cut)
    truncateSync(cut, length)
    await t.rejects(open(cut), { name: 'StoreUnusable' }, `${length} of ${size} bytes`)
    t.equal(statSync(cut).size, length)
  }
})

t.test(
  'a folder, a dangling link, or a file in place of the folder is refused with one sentence',
  async (t) => {
    const folder = t.testdir({ folder: {}, file: 'x' })
    symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'))
    for (const path of ['folder', 'dangling', 'file/keyturn.db']) {
      await t.rejects(open(join(folder, path)), StoreUnusable, path)
    }
    t.notOk(existsSync(join(folder, 'nowhere')))
  },
)

t.test(
  'the integrity check of a large database runs while it serves, and damage is reported (docs/security.md Q4)',
  async (t) => {
    const file = fileIn(t)
    await make(file)
    const url = `sqlite:${file}`
    const open = () => monitorDb(openDb(url, { integrityCheck: true, largeFromBytes: 0, create: true }))
    const sound = open()
    await sound.integrityChecked
    t.equal(await sound.problem(), null)
    await sound.close()

    const other = new Database(file)
    other.pragma('wal_checkpoint(TRUNCATE)')
    const page = Number(
      other.prepare("SELECT rootpage FROM sqlite_master WHERE name = 'client_sessions'").pluck().get(),
    )
    other.close()
    const bytes = readFileSync(file)
    writeFileSync(file, bytes.fill(0xa5, (page - 1) * 4096, page * 4096))

    t.throws(
      () => openDb(url, { integrityCheck: true }),
      StoreUnusable,
      'a small database is checked before the start',
    )
    const damaged = open()
    t.equal((await damaged.query('SELECT 1 AS one')).length, 1, 'a large database serves at once')
    await t.rejects(damaged.integrityChecked ?? Promise.resolve(), { name: 'StoreDamaged' })
    t.equal(await damaged.problem(), 'the store is damaged', 'the node is unready from then on')
    await damaged.close()

    const closed = open()
    await closed.close()
    await t.resolves(
      closed.integrityChecked ?? Promise.reject(),
      'closing the store does not wait for the integrity check',
    )
  },
)

t.test('files left by an interrupted start are harmless', async (t) => {
  const file = fileIn(t)
  mkdirSync(dirname(file))
  const drafts = [`${file}.new-abcdef`, `${file}.${process.pid}.new`]
  for (const draft of drafts) {
    mkdirSync(draft)
    writeFileSync(join(draft, 'draft'), 'half a database')
  }
  await make(file)
  await make(file)
  t.equal(readFileSync(join(drafts[0] as string, 'draft'), 'utf8'), 'half a database')
})

t.test('processes that start at the same moment share one database (docs/security.md Q9, Q11)', async (t) => {
  const file = fileIn(t)
  const code = `
    const { createStore, openDb } = await import(${JSON.stringify(source('store/index.ts'))})
    const { migrate } = await import(${JSON.stringify(source('store/migrate.ts'))})
    const [file, name, at] = process.argv.slice(1)
    while (Date.now() < Number(at));
    for (let round = 0; round < 5; round += 1) {
      const store = createStore(openDb('sqlite:' + file, { create: true }))
      await migrate(store.db, { now: () => 1 })
      if (!(await store.singleUse.claim(name + round, 1))) throw new Error('not the first')
      await store.db.close()
    }`
  const at = String(Date.now() + 700)
  const all = await Promise.all(Array.from({ length: 5 }, (_, i) => script(code, [file, `p${i}`, at])))
  for (const { code: exit, stderr } of all) t.equal(exit, 0, stderr)

  const store = createStore(openDb(`sqlite:${file}`, { create: true }))
  t.teardown(() => store.db.close())
  t.same(
    await store.db.query('SELECT count(*) AS n FROM single_use'),
    [{ n: 25 }],
    'no claim of any process was lost',
  )
  t.same(
    readdirSync(dirname(file)).filter((name) => name.includes('new')),
    [],
  )
})

t.test('the driver opens the file whose name was checked, whatever the name looks like', async (t) => {
  const before = process.umask(0)
  t.teardown(() => process.umask(before))
  for (const name of [' x.db', 'file:x.db', '~x.db', 'x.db?mode=ro', 'x%20y.db']) {
    const folder = t.testdir()
    await openDb(`sqlite:${join(folder, name)}`, { create: true }).close()
    t.same(readdirSync(folder), [name])
    t.equal(statSync(join(folder, name)).mode & 0o777, 0o600)
  }
  const folder = t.testdir()
  for (const end of [' ', '\r', '\n', '\u00a0', '\ufeff']) {
    const name = join(folder, `keyturn.db${end}`)
    t.throws(() => openDb(`sqlite:${name}`, { create: true }), StoreUnusable, JSON.stringify(end))
    t.throws(() => openCopy(name), StoreUnusable)
  }
  t.same(readdirSync(folder), [], 'and nothing is created under a name that the driver would change')
})

t.test('a file that is replaced while it is being opened is not used (docs/security.md Q4)', async (t) => {
  const [file, other] = [fileIn(t), join(t.testdirName, 'other.db')]
  await make(file)
  await make(other)
  const { pragma } = Database.prototype
  t.teardown(() => {
    Database.prototype.pragma = pragma
  })
  // A restore replaces the file while this process waits for the lock, which the first pragma needs.
  Database.prototype.pragma = function replacing(this: Database.Database, ...args) {
    Database.prototype.pragma = pragma
    renameSync(other, file)
    return this.pragma(...args)
  }
  t.throws(() => openDb(`sqlite:${file}`), {
    cause: { message: /was deleted or replaced while it was in use/ },
  })
})

t.test('a relative name that looks like a URI is the name of a file', async (t) => {
  const folder = t.testdir()
  const cwd = process.cwd()
  process.chdir(folder)
  t.teardown(() => process.chdir(cwd))
  const db = openDb('sqlite:file:x.db?mode=ro', { create: true })
  t.teardown(() => db.close())
  await migrate(db, testClock())
  t.ok(readdirSync(folder).includes('file:x.db?mode=ro'))
})

t.test('a store in memory works like a file', async (t) => {
  const db = openDb('sqlite::memory:')
  t.teardown(() => db.close())
  t.equal((await migrate(db, testClock()))[0], '0001_init')
})
