/** LISTEN and NOTIFY on a real PostgreSQL: which changes are notified to whom, and what happens without notifications. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Db, ListenState, Step } from '../../src/store/db.ts'
import { type OpenOptions, openDb } from '../../src/store/index.ts'
import { migrate } from '../../src/store/migrate.ts'
import { registryChanged } from '../../src/store/sql/revisions.ts'
import { CUT_ALL, run } from '../support/postgres/databases.ts'
import { withoutNotificationDelivery } from '../support/postgres/notification-proxy.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { testClock } from '../support/server/clock.ts'

const postgres = await startPostgres(t)

function connect(t: Test, url: string, options: OpenOptions = {}): Db {
  const db = openDb(url, { pool: 2, timeout: 120, ...options })
  t.teardown(() => db.close())
  return db
}

interface TestListener {
  changeCount: number
  readonly states: ListenState[]
  stop(): Promise<void>
  /** Resolves when there have been this many changes of state. */
  untilStates(times: number): Promise<void>
  /** Resolves when this many changes have been reported. */
  untilChanges(count: number): Promise<void>
}

function listen(db: Db): TestListener {
  const states: ListenState[] = []
  const listener: TestListener = {
    changeCount: 0,
    states,
    stop: async () => changes?.stop(),
    async untilStates(times) {
      while (states.length < times) await sleep(2)
    },
    async untilChanges(count) {
      while (listener.changeCount < count) await sleep(1)
    },
  }
  const changes = db.changes?.({
    onChange() {
      listener.changeCount += 1
    },
    onStateChange: (state) => void states.push(state),
  })
  return listener
}

const registry = async (db: Db) =>
  (await db.query<{ value: number }>(`SELECT value FROM revisions WHERE name = 'registry'`))[0]?.value ?? 0

const quiet: Step = { sql: `INSERT INTO single_use (id, expires_at) VALUES ('quiet', 1)` }

t.test(
  'every other node is notified once of a committed batch with a notify step, and of nothing else',
  async (t) => {
    const url = await postgres.database(t)
    const [one, two] = [connect(t as Test, url), connect(t as Test, url)]
    const listeners = [listen(two), listen(connect(t as Test, url))]
    for (const listener of listeners) {
      await listener.untilStates(1)
      t.same(listener.states, ['listening'])
      t.equal(
        listener.changeCount,
        1,
        'listening reports one change, because earlier ones may have been missed',
      )
    }
    t.same([one.pool?.().listening, two.pool?.().listening], [false, true])
    t.equal(await one.batch([registryChanged, { ...quiet, expectRows: 7 }]), false)
    await t.rejects(one.batch([registryChanged, { sql: 'no SQL at all' }]))
    t.equal(await one.batch([quiet]), true)
    t.equal(await one.batch([registryChanged, registryChanged]), true)
    // Notifications arrive in the order of commits, so any other one would have arrived before this one.
    for (const listener of listeners) await listener.untilChanges(2)
    await sleep(20)
    for (const listener of listeners) t.equal(listener.changeCount, 2)

    await listeners[0]?.stop()
    t.equal(two.pool?.().listening, false)
    await one.batch([registryChanged])
    await listeners[1]?.untilChanges(3)
    t.equal(listeners[0]?.changeCount, 2, 'a stopped listener gets no notification')
  },
)

t.test('no notification is sent for a batch that failed at its commit', async (t) => {
  const url = await postgres.database(t)
  const [one, two] = [connect(t as Test, url), connect(t as Test, url)]
  const listener = listen(two)
  await listener.untilStates(1)
  await atCommit(url, `RAISE EXCEPTION 'no' USING ERRCODE = '23514';`)
  await t.rejects(one.batch([registryChanged]), { name: 'ConstraintViolation' })
  await forgetCommits(url)
  await one.batch([registryChanged])
  await listener.untilChanges(2)
  await sleep(20)
  t.equal(listener.changeCount, 2)
})

t.test(
  'a listening connection that is cut is opened again, and then a change is reported (docs/security.md Q6)',
  async (t) => {
    const url = await postgres.database(t)
    const [one, two] = [connect(t as Test, url), connect(t as Test, url)]
    const listener = listen(two)
    await listener.untilStates(1)
    for (let round = 1; round <= 3; round += 1) {
      const before = listener.changeCount
      await run(url, CUT_ALL)
      await one.batch([registryChanged])
      await listener.untilStates(1 + 2 * round)
      await listener.untilChanges(before + 1)
      t.same(listener.states.slice(-2), ['lost', 'listening'], 'each state is reported once')
    }
    const before = listener.changeCount
    await one.batch([registryChanged])
    await listener.untilChanges(before + 1)
  },
)

t.test('a server that does not answer does not delay the stop of a node', async (t) => {
  const url = await postgres.database(t)
  // Much longer than this test may take.
  const db = connect(t as Test, url, { timeout: 100_000 })
  const listener = listen(db)
  await listener.untilStates(1)
  postgres.freeze()
  try {
    await listener.stop()
    // This listener is still connecting.
    await listen(db).stop()
  } finally {
    postgres.thaw()
  }
  t.same(listener.states, ['listening'], 'a stop is not reported as a loss')
})

t.test('without support for notifications, batches run once, and the state is reported once', async (t) => {
  // On CockroachDB the function does not exist; here the user may not call it.
  const url = new URL(await postgres.emptyDatabase())
  const admin = url.href
  await run(
    admin,
    `CREATE ROLE plain LOGIN; GRANT ALL ON SCHEMA public TO plain;
     REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC`,
  )
  url.username = 'plain'
  const db = connect(t as Test, url.href)
  await migrate(db, testClock())
  const before = await registry(db)
  t.equal(await db.batch([registryChanged]), true)
  t.equal(await db.batch([registryChanged]), true)
  t.equal(await registry(db), before + 2)
  t.equal(await db.batch([registryChanged, { ...quiet, expectRows: 7 }]), false)
  const listener = listen(db)
  await listener.untilStates(1)
  t.same(listener.states, ['unsupported'])
  t.equal(db.pool?.().listening, false)

  await run(admin, 'GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC')
  await listener.stop()
  const again = listen(db)
  await again.untilStates(1)
  await db.batch([registryChanged])
  await again.untilChanges(2)
  t.same(again.states, ['listening'], 'notifications are used once they are available')
})

t.test('a pooler that accepts LISTEN and drops notifications is detected', async (t) => {
  const url = await postgres.database(t)
  const db = connect(t as Test, await withoutNotificationDelivery(t, url), { timeout: 3 })
  const listener = listen(db)
  await listener.untilStates(1)
  t.same(listener.states, ['unsupported'])
  t.equal(listener.changeCount, 0)
  t.equal(await db.batch([registryChanged]), true)
})

t.test('with a full notification queue, the batch runs once without a notification', async (t) => {
  const url = await postgres.database(t)
  const db = connect(t as Test, url)
  const before = await registry(db)
  await atCommit(url, `IF n = 1 THEN RAISE EXCEPTION 'too many' USING ERRCODE = '54000'; END IF;`)
  t.equal(await db.batch([registryChanged]), true)
  t.equal(await registry(db), before + 1)
  t.equal((await run(url, 'SELECT last_value FROM tries')).rows[0].last_value, '2')
  await forgetCommits(url)
})

// The last test, because the connection that hands out databases does not survive the crash.
t.test('listening resumes when the server is back, and its absence is reported once', async (t) => {
  const url = await postgres.emptyDatabase()
  const [one, two] = [connect(t as Test, url), connect(t as Test, url)]
  await migrate(one, testClock())
  const listener = listen(two)
  await listener.untilStates(1)
  await postgres.crash()
  await listener.untilStates(2)
  t.equal(two.pool?.().listening, false)
  // Several attempts fail.
  await sleep(500)
  await postgres.restart()
  await listener.untilStates(3)
  t.same(listener.states, ['listening', 'lost', 'listening'])
  const before = listener.changeCount
  await one.batch([registryChanged])
  await listener.untilChanges(before + 1)
})

/** Makes every COMMIT that changes a revision run `body` first. `n` counts them, including those rolled back. */
async function atCommit(url: string, body: string): Promise<void> {
  await run(
    url,
    `CREATE SEQUENCE tries;
     CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS
       $$ DECLARE n BIGINT := nextval('tries'); BEGIN ${body} RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON revisions DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW EXECUTE FUNCTION at_commit()`,
  )
}

/** Removes the trigger, because databases are reused. */
const forgetCommits = (url: string) =>
  run(url, 'DROP TRIGGER at_commit ON revisions; DROP FUNCTION at_commit; DROP SEQUENCE tries')
