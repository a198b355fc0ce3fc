/** Every acknowledged write is on disk (docs/security.md Q2). */
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openDb } from '../../src/store/index.ts'
import { migrate } from '../../src/store/migrate.ts'
import { script, source } from '../support/processes/script.ts'
import { testClock } from '../support/server/clock.ts'

t.test('the connection flushes every commit and enforces foreign keys (docs/security.md Q2)', async (t) => {
  const db = openDb(`sqlite:${join(t.testdir(), 'keyturn.db')}`, { create: true })
  t.teardown(() => db.close())
  const pragma = async (name: string) => Object.values((await db.query(`PRAGMA ${name}`))[0] ?? {})[0]
  t.equal(await pragma('journal_mode'), 'wal')
  t.equal(await pragma('synchronous'), 2, 'FULL')
  t.equal(await pragma('foreign_keys'), 1)
  t.equal(await pragma('secure_delete'), 1, 'deleted content is overwritten')
  t.equal(await pragma('trusted_schema'), 0)
  t.ok(Number(await pragma('busy_timeout')) <= 200, 'no lock blocks the event loop for long')
})

const COMMITS = 20

/**
 * Runs a process that commits batches one by one, reports each, and kills itself. Its system calls show how much of
 * the write-ahead log was on disk when the last flush returned; the rest is removed, as a power failure would.
 */
async function afterPowerFailure(t: Test, { before = '', work = '' }) {
  const folder = t.testdir()
  const file = join(folder, 'keyturn.db')
  const db = openDb(`sqlite:${file}`, { create: true })
  await migrate(db, testClock())
  await db.close()

  const code = `
    const { createStore, openDb } = await import(${JSON.stringify(source('store/index.ts'))})
    const { writeSync } = await import('node:fs')
    ${before}
    const store = createStore(openDb('sqlite:' + process.argv[1]))
    ${work}
    for (let i = 1; i <= ${COMMITS}; i += 1) {
      await store.singleUse.claim('jti' + i, 1)
      writeSync(1, i + '\\n')
    }
    process.kill(process.pid, 'SIGKILL')`
  const trace = join(folder, 'trace')
  const calls = 'trace=pwrite64,fsync,fdatasync'
  const wrapper = ['strace', '-f', '-s', '0', '-y', '-o', trace, '-P', `${file}-wal`, '-e', calls]
  const { stdout } = await script(code, [file], { wrapper })

  let written = 0
  let flushed = 0
  let flushes = 0
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    const [, size, offset] = /pwrite64\([^)]*-wal>.*, (\d+), (\d+)\) += \d+/.exec(line) ?? []
    if (size !== undefined) written = Math.max(written, Number(size) + Number(offset))
    if (!/(fsync|fdatasync)\(\d+<[^>]*-wal>\) += 0/.test(line)) continue
    flushed = written
    flushes += 1
  }

  const left = join(folder, 'left.db')
  copyFileSync(file, left)
  copyFileSync(`${file}-wal`, `${left}-wal`)
  truncateSync(`${left}-wal`, flushed)
  const reopened = openDb(`sqlite:${left}`)
  t.teardown(() => reopened.close())
  t.same(await reopened.query('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
  const [row] = await reopened.query<{ n: number }>('SELECT count(*) AS n FROM single_use')
  return { answered: stdout.trim().split('\n').length, stored: row?.n, flushes }
}

const skip = straceWorks() ? false : 'there is no strace: power failures were NOT tested'
if (skip) t.comment(`WARNING: ${skip}`)

t.test('a power failure loses no acknowledged write (docs/security.md Q2)', { skip }, async (t) => {
  const { answered, stored, flushes } = await afterPowerFailure(t as Test, {})
  t.equal(answered, COMMITS)
  t.equal(stored, COMMITS)
  t.ok(flushes >= COMMITS, `${flushes} flushes`)
})

t.test('the power failure test detects a store that does not flush', { skip }, async (t) => {
  const before = `
    const { default: Database } = await import(${JSON.stringify(import.meta.resolve('better-sqlite3'))})
    const { pragma } = Database.prototype
    Database.prototype.pragma = function (text) {
      return pragma.call(this, text.replace('synchronous = FULL', 'synchronous = NORMAL'))
    }`
  const { answered, stored } = await afterPowerFailure(t as Test, { before })
  t.equal(answered, COMMITS)
  t.ok(Number(stored) < COMMITS, `${stored} kept of ${answered}`)
})

t.test('commits that arrive together share one flush', { skip }, async (t) => {
  const together = `
    await Promise.all(Array.from({ length: 200 }, (_, i) => store.singleUse.claim('with' + i, 1)))`
  const { stored, flushes } = await afterPowerFailure(t as Test, { work: together })
  t.equal(stored, COMMITS + 200)
  t.ok(flushes < COMMITS + 20, `${flushes} flushes for ${COMMITS + 200} batches`)
})

function straceWorks(): boolean {
  try {
    execFileSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
