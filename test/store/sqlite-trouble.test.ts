/** A database that is locked or full (docs/security.md Q3, Q5). */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { StoreUnavailable } from '../../src/store/db.ts'
import { createStore, openDb } from '../../src/store/index.ts'
import { migrate } from '../../src/store/migrate.ts'
import { BUSY_TIMEOUT_MS } from '../../src/store/sqlite/sqlite.ts'
import { testClock } from '../support/server/clock.ts'

async function open(t: Test) {
  const file = join(t.testdir(), 'keyturn.db')
  const store = createStore(openDb(`sqlite:${file}`, { create: true }))
  t.teardown(() => store.db.close())
  await migrate(store.db, testClock())
  /** Another program's connection. */
  const other = new Database(file)
  t.teardown(() => other.close())
  return { store, other, file }
}

const outcome = (work: Promise<unknown>) =>
  work.then(
    (value) => value,
    (error) => error,
  )

t.test('a batch waits for a lock that is soon released (docs/security.md Q5)', async (t) => {
  const { store, other } = await open(t as Test)
  other.exec('BEGIN IMMEDIATE')
  const waiting = Array.from({ length: 50 }, (_, i) => store.singleUse.claim(`jti${i}`, 1))
  // A small part of the time that a batch waits.
  await sleep(BUSY_TIMEOUT_MS / 30)
  other.exec('COMMIT')
  t.same(new Set(await Promise.all(waiting)), new Set([true]))
})

t.test(
  'a lasting lock makes the store unavailable, changes nothing and blocks nothing (docs/security.md Q5)',
  async (t) => {
    const { store, other } = await open(t as Test)
    await store.singleUse.claim('before', 1)
    other.exec('BEGIN EXCLUSIVE')

    let turns = 0
    const timer = setInterval(() => {
      turns += 1
    }, 5)
    const waiting = Array.from({ length: 50 }, (_, i) => outcome(store.singleUse.claim(`jti${i}`, 1)))
    t.equal(await store.revokedTokens.has('x'), false, 'reads are answered meanwhile')
    const outcomes = await Promise.all(waiting)
    clearInterval(timer)
    for (const error of outcomes) {
      t.type(error, StoreUnavailable)
      t.equal((error as StoreUnavailable).retryAfter, 1)
    }
    // Hundreds on a machine that has nothing else to do.
    t.ok(turns >= 5, `the event loop ran ${turns} times`)

    other.exec('ROLLBACK')
    t.same(await store.db.query('SELECT id FROM single_use'), [{ id: 'before' }])
    t.equal(await store.singleUse.claim('jti0', 1), true, 'afterwards the store works again')
  },
)

t.test('close does not wait for a lock, and pending batches are refused', async (t) => {
  const { store, other } = await open(t as Test)
  other.exec('BEGIN IMMEDIATE')
  const waiting = outcome(store.singleUse.claim('jti', 1))
  await store.db.close()
  t.type(await waiting, StoreUnavailable)
  other.exec('ROLLBACK')
  t.same(other.prepare('SELECT id FROM single_use').all(), [])
})

t.test(
  'opening a database that another program has locked reports it as unavailable, not as damaged',
  async (t) => {
    const { store, other, file } = await open(t as Test)
    await store.db.close()
    other.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT')
    t.throws(() => openDb(`sqlite:${file}`, { create: true }), { name: 'StoreUnavailable' })
  },
)

t.test('opening a database waits for a lock that is soon released', async (t) => {
  const { store, file } = await open(t as Test)
  await store.db.close()
  const code = `
    const { default: Database } = await import(${JSON.stringify(import.meta.resolve('better-sqlite3'))})
    const db = new Database(process.argv[1])
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT')
    process.stdout.write('held')
    setTimeout(() => db.close(), 100)`
  const other = spawn(process.execPath, ['--input-type=module', '-e', code, '--', file], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(other.stdout, 'data')
  const again = openDb(`sqlite:${file}`, { create: true })
  t.teardown(() => again.close())
  t.same(await again.query('SELECT count(*) AS n FROM single_use'), [{ n: 0 }])
})

t.test('a long read blocks no other process (docs/security.md Q5)', async (t) => {
  const { store, other } = await open(t as Test)
  await store.singleUse.claim('before', 1)
  other.exec('BEGIN')
  const count = other.prepare('SELECT count(*) FROM single_use').pluck()
  t.equal(count.get(), 1)
  for (let i = 0; i < 50; i += 1) t.equal(await store.singleUse.claim(`jti${i}`, 1), true)
  t.equal(count.get(), 1, 'the reader still sees the state from its start')
})

t.test(
  'a full disk makes the store unavailable without changes until there is space again (docs/security.md Q3)',
  async (t) => {
    const { store } = await open(t as Test)
    const [size] = await store.db.query<{ page_count: number }>('PRAGMA page_count')
    // Makes SQLite itself fail with SQLITE_FULL, as it does when there is no space for another page.
    await store.db.query(`PRAGMA max_page_count = ${size?.page_count}`)
    const large = 'x'.repeat(10_000)
    const outcomes = await Promise.all([
      outcome(store.singleUse.claim('small', 1)),
      outcome(store.singleUse.claim(large, 1)),
      outcome(store.singleUse.claim('also small', 1)),
    ])
    for (const error of outcomes) t.type(error, StoreUnavailable, 'all batches of one commit fail together')
    t.same(await store.db.query('SELECT id FROM single_use'), [])
    t.equal(await store.singleUse.claim('small', 1), true, 'a write that needs no new page succeeds')

    await store.db.query('PRAGMA max_page_count = 4294967294')
    t.equal(await store.singleUse.claim(large, 1), true)
  },
)
