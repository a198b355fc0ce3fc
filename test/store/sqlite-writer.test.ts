/** The thread that writes when the disk is slow: when it starts, what it promises, and what happens when it ends. */
import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { ConstraintViolation, type Db, StoreUnavailable } from '../../src/store/db.ts'
import { createStore, openDb } from '../../src/store/index.ts'
import { migrate } from '../../src/store/migrate.ts'
import { createGathering } from '../../src/store/sqlite/gathering.ts'
import { createAdaptiveWriter, SLOW_COMMIT_MS, type Writer } from '../../src/store/sqlite/writer.ts'
import { runContract } from '../contracts/contract.ts'
import { dbContract } from '../contracts/db.ts'
import { testClock } from '../support/server/clock.ts'
import { turns } from '../support/server/waiting.ts'

const SLOW = 20

/** The worker threads of this process. */
const workers: Worker[] = []
process.on('worker', (worker) => {
  workers.push(worker)
  worker.on('exit', () => workers.splice(workers.indexOf(worker), 1))
})

async function open(t: Test, flushDelay: number) {
  const file = join(t.testdir(), 'keyturn.db')
  const ends: unknown[] = []
  const writer = { flushDelay, onEnd: (error: unknown) => ends.push(error) }
  const db = openDb(`sqlite:${file}`, { create: true, writer })
  t.teardown(() => db.close())
  await migrate(db, testClock())
  return { db, file, store: createStore(db), ends }
}

let claims = 0
/** A write that leaves something behind. */
const write = (store: ReturnType<typeof createStore>) => store.singleUse.claim(`write ${++claims}`, 1)

/** Writes until a thread does. */
async function withThread(t: Test, flushDelay = SLOW) {
  const opened = await open(t, flushDelay)
  while (!(await writesElsewhere(opened.store))) await write(opened.store)
  return opened
}

/** Whether the event loop runs while a write waits for the disk. */
async function writesElsewhere(store: ReturnType<typeof createStore>): Promise<boolean> {
  let turns = 0
  let waiting = true
  const turn = () => {
    turns += 1
    if (waiting) setTimeout(turn, 1)
  }
  turn()
  await write(store)
  waiting = false
  return turns > 3
}

t.test('the thread is started when commits are slow on average, and not for one that is', async (t) => {
  /** How many threads are started for commits that take this long. */
  async function startsAfter(commitMs: readonly number[]): Promise<number> {
    let time = 0
    let starts = 0
    const commits = [...commitMs]
    const here: Writer = {
      async commit(group) {
        time += commits.shift() ?? 0
        return group.map(() => true)
      },
      scrub: async () => true,
      close: async () => {},
    }
    const never = new Promise<never>(() => {})
    const writer = createAdaptiveWriter({
      here,
      startThread: () => {
        starts += 1
        return { ...here, opened: never, ended: never }
      },
      onEnd: () => {},
      now: () => time,
    })
    for (const _ of commitMs) await writer.commit([[]])
    return starts
  }
  const many = (ms: number) => Array.from({ length: 200 }, () => ms)
  t.equal(await startsAfter(many(0.2)), 0, 'a fast disk')
  t.equal(await startsAfter([...many(0.2), 20, ...many(0.2)]), 0, 'one slow commit')
  t.equal(await startsAfter(many(SLOW_COMMIT_MS + 1)), 1, 'a slow disk')
  t.equal(await startsAfter([20, 20]), 1, 'a very slow disk, at once')
  t.equal(await startsAfter([1000]), 1, 'a disk that hangs')
})

t.test('on a slow disk a thread writes, and the event loop does not wait for the disk', async (t) => {
  const { store } = await withThread(t as Test)
  t.equal(workers.length, 1)
  t.equal(await store.singleUse.claim('once', 1), true)
  t.equal(await store.singleUse.claim('once', 1), false)
  t.equal(await store.singleUse.has('once'), true, 'a write that was answered can be read')
})

t.test('reads do not wait for a write that is being flushed', async (t) => {
  const { store, db } = await withThread(t as Test, 200)
  let written = false
  const writing = write(store).then(() => {
    written = true
  })
  await sleep(1)
  await db.query('SELECT count(*) FROM single_use')
  t.equal(written, false)
  await writing
})

t.test('writes that arrive during a flush are committed together with the next one', async (t) => {
  const { store } = await withThread(t as Test, 50)
  const [worker] = workers
  const { postMessage } = worker as Worker
  let messages = 0
  ;(worker as Worker).postMessage = function (...args: [unknown]) {
    messages += 1
    return postMessage.apply(this, args)
  }
  const first = write(store)
  await sleep(1)
  await Promise.all([first, ...Array.from({ length: 100 }, () => write(store))])
  t.equal(messages, 2)
})

t.test('on a slow disk, a commit waits a moment for the clients that were just answered', async (t) => {
  let time = 0
  const gathering = createGathering(() => time)
  t.equal(gathering.pause(1), 0, 'the first')
  gathering.ended(8, 8, 20)
  t.equal(gathering.pause(8), 10, 'half of the commit')
  t.equal(gathering.pause(16), 0, 'all have come back')
  time = 9
  t.equal(gathering.pause(15), 1)
  time = 14
  t.equal(gathering.pause(9), 0, 'not longer')
  gathering.began(16)
  gathering.ended(1, 0, 20)
  t.equal(gathering.pause(1), 0, 'a single client never waits')
  gathering.ended(8, 8, 0.2)
  t.equal(gathering.pause(8), 0, 'nor anyone on a fast disk')
})

t.test(
  'if the clients need longer than the pause to come back, most commits do not wait for them',
  async (t) => {
    const gathering = createGathering(() => 0)
    let pauses = 0
    const commit = (expected: number, waiting: number) => {
      if (gathering.pause(waiting) > 0) pauses += 1
      gathering.began(waiting)
      gathering.ended(expected, 0, 20)
    }
    for (let i = 0; i < 5 + 5 * 33; i += 1) commit(16, 8)
    t.equal(pauses, 4 + 5, 'four in a row, and then one in 33 as a trial')
    for (let i = 0; i < 33; i += 1) commit(4, 4)
    pauses = 0
    for (let i = 0; i < 3; i += 1) commit(4, 2)
    t.equal(pauses, 3, 'when they come back in time again, the next commits wait')
  },
)

t.test('clients that come back in different turns of the event loop share one commit', async (t) => {
  const { store } = await withThread(t as Test, 100)
  const [worker] = workers as [Worker]
  const { postMessage } = worker
  let messages = 0
  worker.postMessage = function (...args: [unknown]) {
    messages += 1
    return postMessage.apply(this, args)
  }
  /** One client writes during the commit of another, which comes back some turns after it was answered. */
  async function commitsOfSecondWrites(): Promise<number> {
    const first = write(store)
    await turns()
    const second = write(store)
    await first
    messages = 0
    await turns()
    await Promise.all([second, write(store)])
    return messages
  }
  // On a busy machine, some turns can take longer than the pause.
  let fewest = Number.POSITIVE_INFINITY
  for (let i = 0; i < 20 && fewest > 1; i += 1) fewest = Math.min(fewest, await commitsOfSecondWrites())
  t.equal(fewest, 1)
})

t.test('a store that is closed commits what waits, one group after the other', async (t) => {
  const { db, store } = await withThread(t as Test)
  const [worker] = workers as [Worker]
  const { postMessage } = worker
  let running = 0
  let mostAtOnce = 0
  worker.postMessage = function (...args: [unknown]) {
    running += 1
    mostAtOnce = Math.max(mostAtOnce, running)
    return postMessage.apply(this, args)
  }
  worker.on('message', () => {
    running -= 1
  })
  // More than two groups. The first is being committed when the store is closed.
  const writes = Array.from({ length: 600 }, () => write(store))
  await turns()
  await db.close()
  t.same(new Set(await Promise.all(writes)), new Set([true]))
  t.equal(mostAtOnce, 1)
})

t.test('each batch of a group succeeds or fails by itself, with the error of its own', async (t) => {
  const { db, store } = await withThread(t as Test)
  const insert = (sql: string) => db.batch([{ sql, params: ['taken'] }])
  const outcomes = await Promise.allSettled([
    store.singleUse.claim('taken', 1),
    insert('INSERT INTO single_use (id, expires_at) VALUES ($1, 1)'),
    insert('INSERT INTO nothing (id) VALUES ($1)'),
    store.singleUse.claim('taken', 1),
    store.singleUse.claim('free', 1),
  ])
  const [first, constraint, mistake, second, free] = outcomes
  t.match(first, { value: true })
  t.ok(constraint?.status === 'rejected' && constraint.reason instanceof ConstraintViolation)
  t.ok(mistake?.status === 'rejected' && !(mistake.reason instanceof StoreUnavailable))
  t.match(mistake, { reason: { code: 'SQLITE_ERROR' } })
  t.match(second, { value: false })
  t.match(free, { value: true })
})

t.test(
  'a lock of another program is waited for, and a lasting one makes the store unavailable',
  async (t) => {
    const { store, file } = await withThread(t as Test, 10)
    const other = new Database(file)
    t.teardown(() => other.close())
    other.exec('BEGIN IMMEDIATE')
    const waiting = write(store)
    await sleep(50)
    other.exec('COMMIT')
    t.equal(await waiting, true)
    other.exec('BEGIN IMMEDIATE')
    await t.rejects(write(store), { code: 'store_unavailable' })
    other.exec('ROLLBACK')
    t.equal(await write(store), true)
  },
)

t.test('a database that was replaced while a thread writes is not written to', async (t) => {
  const { store, file } = await withThread(t as Test)
  renameSync(file, `${file}.old`)
  await t.rejects(write(store), { code: 'store_unavailable', detail: /was deleted or replaced/ })
  t.notOk(existsSync(file))
  renameSync(`${file}.old`, file)
})

t.test('close waits for what was asked, and the thread ends with it', async (t) => {
  const { db, store, file } = await withThread(t as Test)
  const writes = Array.from({ length: 20 }, (_, i) => store.singleUse.claim(`last ${i}`, 1))
  await db.close()
  t.same(new Set(await Promise.all(writes)), new Set([true]))
  t.equal(workers.length, 0)
  t.notOk(existsSync(`${file}-wal`), 'the log is in the database')
  await t.rejects(write(store), { code: 'store_unavailable' })
})

t.test('a thread that ends is an outage of what it had not answered, and is started once more', async (t) => {
  const { store, db, ends } = await withThread(t as Test, 50)
  for (const time of [1, 2]) {
    const [worker] = workers
    const before = write(store)
    await before
    const lost = Promise.allSettled([write(store), write(store)])
    await sleep(1)
    await worker?.terminate()
    for (const outcome of await lost) {
      t.equal(outcome.status, 'rejected', 'it was not answered')
      t.match(outcome, { reason: { code: 'store_unavailable' } })
    }
    t.equal(ends.length, time, 'it is reported')
    t.equal(await write(store), true, 'the store goes on')
    if (time === 1) while (!(await writesElsewhere(store))) await write(store)
  }
  for (let i = 0; i < 5; i += 1) await write(store)
  t.equal(workers.length, 0, 'not a third time')
  t.same(await db.query('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
})

t.test('with a thread, the database keeps the contract of every database', async (t) => {
  runContract(t as Test, dbContract, async (t) => {
    const first = await withThread(t, 3)
    await first.db.batch([{ sql: 'DELETE FROM single_use' }])
    let connections = 0
    return {
      async connect() {
        connections += 1
        if (connections === 1) return first.store
        const db = openDb(`sqlite:${first.file}`, { writer: { onEnd: () => {} } })
        t.teardown(() => db.close())
        return createStore(db)
      },
    }
  })
})

t.test('scrub overwrites while a thread writes', async (t) => {
  const { db } = await withThread(t as Test)
  t.equal(await (db as Db & { scrub(): Promise<boolean> }).scrub(), true)
})
