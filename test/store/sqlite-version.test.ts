/** How a process that uses a database in a file finds out, without a query, whether anything was written. */
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Db, type Step, StoreUnavailable } from '../../src/store/db.ts'
import { openDb } from '../../src/store/index.ts'
import { migrate } from '../../src/store/migrate.ts'
import type { SqliteOptions } from '../../src/store/sqlite/file.ts'
import { testClock } from '../support/server/clock.ts'
import { until } from '../support/server/waiting.ts'

async function open(t: Test, options: SqliteOptions = {}) {
  const file = join(t.testdir(), 'keyturn.db')
  const db = openDb(`sqlite:${file}`, { create: true, ...options })
  t.teardown(() => db.close())
  await migrate(db, testClock())
  const other = openDb(`sqlite:${file}`)
  t.teardown(() => other.close())
  return { db, other, file }
}

const claim = (id: string): Step => ({
  sql: 'INSERT INTO single_use (id, expires_at) VALUES ($1, 1)',
  params: [id],
})

/** @throws if the engine cannot tell */
function versionOf(db: Db): string {
  const version = db.version?.()
  if (version === undefined) throw new Error('the engine cannot tell')
  return version
}

t.test('the version stays while nothing is written, whatever is read', async (t) => {
  const { db, other } = await open(t)
  const before = versionOf(db)
  for (const one of [db, other]) await one.query('SELECT * FROM single_use')
  t.equal(versionOf(db), before)
})

t.test('a commit of this process or another one changes the version, each time', async (t) => {
  const { db, other } = await open(t)
  const versions = [versionOf(db)]
  for (const [i, one] of [db, other, db, other, other].entries()) {
    await one.batch([claim(String(i))])
    versions.push(versionOf(db))
  }
  t.equal(new Set(versions).size, 6)
  t.equal((await db.query('SELECT * FROM single_use')).length, 5)
})

t.test('a commit of the thread that writes changes the version', async (t) => {
  const threads: unknown[] = []
  const count = (thread: unknown) => void threads.push(thread)
  process.on('worker', count)
  t.teardown(() => process.off('worker', count))
  const { db } = await open(t, { writer: { flushDelay: 20, onEnd: () => {} } })
  let i = 0
  await until(async () => {
    i += 1
    await db.batch([claim(String(i))])
    return threads.length > 0
  })
  for (let more = 0; more < 20; more += 1) {
    const before = versionOf(db)
    i += 1
    await db.batch([claim(String(i))])
    t.not(versionOf(db), before)
  }
})

t.test('the version of a database that was replaced is unknown, and the next query fails', async (t) => {
  const { db, file } = await open(t)
  renameSync(file, `${file}.gone`)
  // A check of the files is valid for a moment.
  await until(() => db.version?.() === undefined)
  await t.rejects(db.query('SELECT 1'), StoreUnavailable)
})
