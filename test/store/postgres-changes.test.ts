/** LISTEN and NOTIFY on a real PostgreSQL: which changes are notified to whom, and what happens without notifications. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Db, ListenState, Step } from '../../src/store/db.ts'
import { type OpenOptions, openDb } from '../../src/store/index.ts'
import { migrate } from '../../src/store/migrate.ts'
import { registryChanged } from '../../src/store/sql/revisions.ts'
import { CUT_ALL, run } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { testClock } from '../support/server/clock.ts'
import { throughDeafProxy } from './notification-proxy.ts'

const postgres = await startPostgres(t)

function connect(t: Test, url: string, options: OpenOptions = {}): Db {
  const db = openDb(url, { pool: 2, ...options })
  t.teardown(() => db.close())
  return db
}

interface Ear {
  heard: number
  readonly turns: ListenState[]
  stop(): Promise<void>
  /** Until it has turned so often. */
  turned(times: number): Promise<void>
  /** Until it has heard so often. */
  reaches(count: number): Promise<void>
}

function listen(db: Db): Ear {
  const turns: ListenState[] = []
  const ear: Ear = {
    heard: 0,
    turns,
    stop: async () => changes?.stop(),
    async turned(times) {
      while (turns.length < times) await sleep(2)
    },
    async reaches(count) {
      while (ear.heard < count) await sleep(1)
    },
  }
  const changes = db.changes?.({
    onChange() {
      ear.heard += 1
    },
    onStateChange: (hearing) => void turns.push(hearing),
  })
  return ear
}

const registry = async (db: Db) =>
  (await db.query<{ value: number }>(`SELECT value FROM revisions WHERE name = 'registry'`))[0]?.value ?? 0

const quiet: Step = { sql: `INSERT INTO single_use (id, expires_at) VALUES ('quiet', 1)` }

t.test(
  'every other node is notified once of a committed batch with a notify step, and of nothing else',
  async (t) => {
    const url = await postgres.database(t)
    const [one, two] = [connect(t as Test, url), connect(t as Test, url)]
    const ears = [listen(two), listen(connect(t as Test, url))]
    for (const ear of ears) {
      await ear.turned(1)
      t.same(ear.turns, ['listening'])
      t.equal(ear.heard, 1, 'what came before')
    }
    t.same([one.pool?.().listening, two.pool?.().listening], [false, true])
    t.equal(await one.batch([registryChanged, { ...quiet, expectRows: 7 }]), false)
    await t.rejects(one.batch([registryChanged, { sql: 'no SQL at all' }]))
    t.equal(await one.batch([quiet]), true)
    t.equal(await one.batch([registryChanged, registryChanged]), true)
    const committed = performance.now()
    // Notifications come in the order of their commits: had there been others, they would be here before this one.
    for (const ear of ears) await ear.reaches(2)
    t.ok(performance.now() - committed < 500, 'by itself, without looking')
    await sleep(20)
    for (const ear of ears) t.equal(ear.heard, 2)

    await ears[0]?.stop()
    t.equal(two.pool?.().listening, false)
    await one.batch([registryChanged])
    await ears[1]?.reaches(3)
    t.equal(ears[0]?.heard, 2, 'who has stopped hears nothing')
  },
)

t.test('no notification is sent for a batch that failed at its commit', async (t) => {
  const url = await postgres.database(t)
  const [one, two] = [connect(t as Test, url), connect(t as Test, url)]
  const ear = listen(two)
  await ear.turned(1)
  await atCommit(url, `RAISE EXCEPTION 'no' USING ERRCODE = '23514';`)
  await t.rejects(one.batch([registryChanged]), { name: 'ConstraintViolation' })
  await forgetCommits(url)
  await one.batch([registryChanged])
  await ear.reaches(2)
  await sleep(20)
  t.equal(ear.heard, 2)
})

t.test(
  'a listening connection that is cut is made again, and then a change is reported (docs/security.md Q6)',
  async (t) => {
    const url = await postgres.database(t)
    const [one, two] = [connect(t as Test, url), connect(t as Test, url)]
    const ear = listen(two)
    await ear.turned(1)
    for (let round = 1; round <= 3; round += 1) {
      const before = ear.heard
      await run(url, CUT_ALL)
      await one.batch([registryChanged])
      await ear.turned(1 + 2 * round)
      await ear.reaches(before + 1)
      t.same(ear.turns.slice(-2), ['lost', 'listening'], 'said once each')
    }
    const before = ear.heard
    await one.batch([registryChanged])
    await ear.reaches(before + 1)
  },
)

t.test('a server that does not answer does not delay the stop of a node', async (t) => {
  const url = await postgres.database(t)
  const db = connect(t as Test, url, { timeout: 1 })
  const ear = listen(db)
  await ear.turned(1)
  postgres.freeze()
  try {
    await ear.stop()
    // One that is just connecting.
    await listen(db).stop()
  } finally {
    postgres.thaw()
  }
  t.same(ear.turns, ['listening'], 'a stop is no loss')
})

t.test('without support for notifications, batches run once, and the state is reported once', async (t) => {
  // As on CockroachDB: an unknown function. Here one that this user may not call.
  const made = new URL(await postgres.emptyDatabase())
  const admin = made.href
  await run(
    admin,
    `CREATE ROLE plain LOGIN; GRANT ALL ON SCHEMA public TO plain;
     REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC`,
  )
  made.username = 'plain'
  const db = connect(t as Test, made.href)
  await migrate(db, testClock())
  const before = await registry(db)
  t.equal(await db.batch([registryChanged]), true)
  t.equal(await db.batch([registryChanged]), true)
  t.equal(await registry(db), before + 2)
  t.equal(await db.batch([registryChanged, { ...quiet, expectRows: 7 }]), false)
  const ear = listen(db)
  await ear.turned(1)
  t.same(ear.turns, ['unsupported'])
  t.equal(db.pool?.().listening, false)

  await run(admin, 'GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC')
  await ear.stop()
  const again = listen(db)
  await again.turned(1)
  await db.batch([registryChanged])
  await again.reaches(2)
  t.same(again.turns, ['listening'], 'once it has them, it uses them')
})

t.test('a pooler that accepts LISTEN and drops notifications is detected', async (t) => {
  const url = await postgres.database(t)
  const db = connect(t as Test, await throughDeafProxy(t, url), { timeout: 1 })
  const ear = listen(db)
  await ear.turned(1)
  t.same(ear.turns, ['unsupported'])
  t.equal(ear.heard, 0)
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

// The last: who hands out databases does not come through it.
t.test('listening resumes when the server is back, and its absence is reported once', async (t) => {
  const url = await postgres.emptyDatabase()
  const [one, two] = [connect(t as Test, url), connect(t as Test, url)]
  await migrate(one, testClock())
  const ear = listen(two)
  await ear.turned(1)
  await postgres.crash()
  await ear.turned(2)
  t.equal(two.pool?.().listening, false)
  // Several attempts fail.
  await sleep(500)
  await postgres.restart()
  await ear.turned(3)
  t.same(ear.turns, ['listening', 'lost', 'listening'])
  const before = ear.heard
  await one.batch([registryChanged])
  await ear.reaches(before + 1)
})

/** Lets every COMMIT that changes a revision run `body` first; `n` counts them, whatever is undone. */
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

/** Databases are used again. */
const forgetCommits = (url: string) =>
  run(url, 'DROP TRIGGER at_commit ON revisions; DROP FUNCTION at_commit; DROP SEQUENCE tries')
