/** What can go wrong between a node and its PostgreSQL, and what a caller sees (docs/security.md Q4, Q6). */
import pg from 'pg'
import t, { type Test } from 'tap'
import type { Db, Step } from '../../src/store/db.ts'
import { createStore, type OpenOptions, openDb, type Store } from '../../src/store/index.ts'
import { insertOwners, session } from '../contracts/client-sessions.ts'
import { code } from '../contracts/codes.ts'
import { signIn } from '../contracts/user-sessions.ts'
import { CUT_ALL, run, untilWaiting } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { startProxy } from '../support/postgres/proxy.ts'
import { turns, until } from '../support/server/waiting.ts'

const postgres = await startPostgres(t, { settings: { deadlock_timeout: '50ms' } })

async function open(t: Test, options: OpenOptions = {}): Promise<{ db: Db; url: string }> {
  const url = await postgres.database(t)
  const db = openDb(url, { timeout: 120, ...options })
  t.teardown(() => db.close())
  return { db, url }
}

/** A separate connection, such as an administrator’s. */
async function connection(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end())
  return client
}

const insert = (id: string): Step => ({
  sql: 'INSERT INTO single_use (id, expires_at) VALUES ($1, 1)',
  params: [id],
})
const touch = (id: string): Step => ({
  sql: 'UPDATE single_use SET expires_at = expires_at + 1 WHERE id = $1',
  params: [id],
  expectRows: 1,
})
const value = async (db: Db, id: string) =>
  (await db.query<{ n: number }>('SELECT expires_at AS n FROM single_use WHERE id = $1', [id]))[0]?.n

/** Ends the connections that wait for a lock. */
const END_WAITING = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                      WHERE datname = current_database() AND wait_event_type = 'Lock'`

const UNAVAILABLE = { name: 'StoreUnavailable', message: 'the store is not available' }

t.test(
  'a user session that ends while its code is redeemed ends the new client session too (RFC 9700 §4.14.2; docs/security.md F72, P1)',
  async (t) => {
    const { db, url } = await open(t as Test)
    const store = createStore(db)
    await insertOwners(store)
    await store.userSessions.insert(signIn(), 'secret')
    await store.codes.insert('h', code(), 1000)
    // The code is consumed, and the insert of its session waits for the row of its client.
    const blocker = await connection(t as Test, url)
    await blocker.query(`BEGIN; SELECT 1 FROM clients WHERE id = 'machine' FOR UPDATE`)
    const redeemed = store.codes.redeem('h', session({ id: 's', userSessionId: 'browser' }), 1010, 5)
    await untilWaiting(url, 'Lock')
    const ended = store.userSessions.end('browser', 1010, 'out')
    await turns()
    await blocker.query('ROLLBACK')
    t.same([await redeemed, await ended], [true, ['s']])
    t.equal((await store.clientSessions.find('s'))?.revokedAt, 1010)
  },
)

t.test(
  'of fifty redemptions of a code whose connections are cut, at most one starts a session (docs/security.md Q6)',
  async (t) => {
    const { db: direct, url } = await open(t as Test)
    const link = await startProxy(t as Test, url, (client, server) => {
      client.pipe(server)
      server.pipe(client)
    })
    const db = openDb(link.url, { timeout: 120 })
    t.teardown(() => db.close())
    const [cut, store] = [createStore(db), createStore(direct)]
    await insertOwners(store)
    await store.userSessions.insert(signIn(), 'secret')
    const seen = { won: 0, lost: 0, unknown: 0 }
    for (let round = 0; round < 10; round += 1) {
      await store.codes.insert(`code-${round}`, code({ clientSessionId: `of-${round}` }), 1000)
      const redeem = (from: Store, i: number) =>
        from.codes.redeem(
          `code-${round}`,
          session({ id: `of-${round}-${i}`, userSessionId: 'browser' }),
          1010,
          5,
        )
      const outcomes = Promise.allSettled(Array.from({ length: 50 }, (_, i) => redeem(cut, i)))
      for (let n = 0; n <= round; n += 1) {
        await turns()
        link.cut()
      }
      let won = 0
      for (const outcome of await outcomes) {
        if (outcome.status === 'rejected') {
          t.match(outcome.reason, UNAVAILABLE)
          seen.unknown += 1
        } else if (outcome.value) won += 1
        else seen.lost += 1
      }
      const started = (await store.clientSessions.list({}, 1000)).filter(({ id }) =>
        id.startsWith(`of-${round}-`),
      )
      t.ok(won <= started.length && started.length <= 1, `${won} answers for ${started.length} sessions`)
      t.equal(await redeem(store, 50), started.length === 0)
      seen.won += won
    }
    t.ok(seen.lost > 0 && seen.unknown > 0, JSON.stringify(seen))
  },
)

/** The server ends the connection of a batch that waits for a lock on 'a', and then the lock is released. */
async function batchThatIsCut(t: Test, steps: readonly Step[]): Promise<{ db: Db; done: boolean }> {
  const { db, url } = await open(t)
  await db.batch([insert('a')])
  const other = await connection(t, url)
  await other.query(`BEGIN; SELECT 1 FROM single_use WHERE id = 'a' FOR UPDATE`)
  const waiting = db.batch(steps)
  await untilWaiting(url, 'Lock')
  await run(url, END_WAITING)
  await untilWaiting(url, 'Lock')
  await other.query('ROLLBACK')
  return { db, done: await waiting }
}

t.test(
  'a batch whose connection the server ends before the commit runs exactly once (docs/security.md Q6)',
  async (t) => {
    const several = await batchThatIsCut(t as Test, [insert('b'), touch('a')])
    t.equal(several.done, true)
    t.same([await value(several.db, 'a'), await value(several.db, 'b')], [2, 1])
    const one = await batchThatIsCut(t as Test, [touch('a')])
    t.equal(one.done, true)
    t.equal(await value(one.db, 'a'), 2)
  },
)

/** Makes every COMMIT that inserts into single_use run `body` first. `tries` counts them, including those rolled back. */
async function atCommit(url: string, body: string): Promise<void> {
  await run(
    url,
    `DROP SEQUENCE IF EXISTS tries CASCADE; CREATE SEQUENCE tries;
     CREATE OR REPLACE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS
       $$ DECLARE n BIGINT := nextval('tries'); BEGIN ${body} RETURN NULL; END $$;
     CREATE OR REPLACE TRIGGER nothing AFTER TRUNCATE ON single_use EXECUTE FUNCTION at_commit();
     DROP TRIGGER IF EXISTS at_commit ON single_use;
     CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON single_use DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW EXECUTE FUNCTION at_commit()`,
  )
}
const forgetCommits = (url: string) =>
  run(url, 'DROP TRIGGER at_commit ON single_use; DROP TRIGGER nothing ON single_use; DROP SEQUENCE tries')
const tries = async (url: string) =>
  Number((await run(url, 'SELECT last_value FROM tries')).rows[0].last_value)

t.test(
  'a batch whose connection is cut during the commit is not repeated (docs/security.md Q6)',
  async (t) => {
    const { db, url } = await open(t as Test)
    await db.query('SELECT 1')
    await atCommit(url, 'PERFORM pg_sleep(10);')
    const outcome = t.rejects(db.batch([insert('a'), touch('a')]), { ...UNAVAILABLE, retryAfter: 3 })
    await untilWaiting(url, 'PgSleep')
    await run(url, CUT_ALL)
    await outcome
    t.equal(await tries(url), 1)
    t.equal(await value(db, 'a'), undefined)
    await forgetCommits(url)
    t.equal(await db.batch([insert('a')]), true, 'the next batch has a new connection')
  },
)

t.test('a batch rolled back by contention is repeated a limited number of times', async (t) => {
  const { db, url } = await open(t as Test)
  await atCommit(url, `IF n <= 3 THEN RAISE EXCEPTION 'busy' USING ERRCODE = '40001'; END IF;`)
  t.equal(await db.batch([insert('a')]), true)
  t.equal(await tries(url), 4)
  await atCommit(url, `RAISE EXCEPTION 'busy' USING ERRCODE = '40001';`)
  await t.rejects(db.batch([insert('b')]), { ...UNAVAILABLE, retryAfter: 1 })
  t.equal(await tries(url), 8)
  await forgetCommits(url)
  t.same(await db.query('SELECT id FROM single_use'), [{ id: 'a' }])
})

t.test('batches that lock the same rows in opposite order all succeed', async (t) => {
  const { db, url } = await open(t as Test)
  const other = openDb(url, { timeout: 120 })
  t.teardown(() => other.close())
  await db.batch([insert('a'), insert('b')])
  // A few at a time: a batch that is the victim of eight deadlocks in a row fails (docs/faults.md).
  const [rounds, pairs] = [5, 3]
  for (let round = 0; round < rounds; round += 1) {
    const done = await Promise.all(
      Array.from({ length: pairs }, () => [
        db.batch([touch('a'), touch('b')]),
        other.batch([touch('b'), touch('a')]),
      ]).flat(),
    )
    t.notOk(done.includes(false))
  }
  t.same([await value(db, 'a'), await value(db, 'b')], Array(2).fill(1 + 2 * pairs * rounds))
})

t.test(
  'an exhausted pool refuses after the timeout, and at once if too many requests wait (docs/security.md Q6)',
  async (t) => {
    const { db } = await open(t as Test, { pool: 1, timeout: 1 })
    const slow = t.rejects(db.query('SELECT pg_sleep(30)'), UNAVAILABLE, 'a statement has a limit too')
    const waiting = Array.from({ length: 100 }, () =>
      db.query('SELECT 1').then(
        () => 'answered',
        ({ name }) => name,
      ),
    )
    await turns()
    const added = t.rejects(db.query('SELECT 1'), UNAVAILABLE).then(() => 'refused')
    t.equal(await Promise.race([...waiting, added]), 'refused', 'before all that wait')
    await slow
    const outcomes = new Set(await Promise.all(waiting))
    t.ok(outcomes.has('StoreUnavailable') || outcomes.has('answered'), 'all have ended')
    t.same(await db.query('SELECT 1 AS one'), [{ one: 1 }], 'the pool works again')
  },
)

t.test(
  'a read-only server refuses writes, and accepts them once it is the primary again (docs/security.md Q4)',
  async (t) => {
    const { db, url } = await open(t as Test)
    const name = new URL(url).pathname.slice(1)
    await run(postgres.admin, `ALTER DATABASE ${name} SET default_transaction_read_only = on`)
    await t.rejects(db.batch([insert('a')]), UNAVAILABLE)
    t.equal(await value(db, 'a'), undefined, 'it can be read')
    await run(postgres.admin, `ALTER DATABASE ${name} RESET ALL`)
    await t.rejects(db.batch([insert('a')]), UNAVAILABLE, 'the connection that could read still fails once')
    t.equal(await db.batch([insert('a')]), true, 'the node needs no restart')
  },
)

t.test('a prepared statement still works after its table gets a column', async (t) => {
  const url = await postgres.emptyDatabase()
  const db = openDb(url, { pool: 2, timeout: 120 })
  t.teardown(() => db.close())
  await db.batch([{ sql: 'CREATE TABLE one (id TEXT)' }])
  await db.batch([{ sql: `INSERT INTO one VALUES ('a')` }])
  const both = () => Promise.all([db.query('SELECT * FROM one'), db.query('SELECT * FROM one')])
  t.same(await both(), [[{ id: 'a' }], [{ id: 'a' }]])
  await run(url, `ALTER TABLE one ADD COLUMN more BIGINT DEFAULT 7`)
  for (let i = 0; i < 3; i += 1) {
    t.same(await both(), [[{ id: 'a', more: 7 }], [{ id: 'a', more: 7 }]])
  }
})

t.test('a server that does not answer causes an error after the timeout (docs/security.md Q6)', async (t) => {
  const { db, url } = await open(t as Test, { timeout: 1 })
  const patient = openDb(url, { timeout: 120 })
  t.teardown(() => patient.close())
  const answers = () =>
    db.query('SELECT 1').then(
      () => true,
      () => false,
    )
  await until(answers)
  postgres.freeze()
  try {
    await Promise.all([
      t.rejects(db.query('SELECT 1'), UNAVAILABLE),
      t.rejects(db.batch([insert('a')]), UNAVAILABLE),
    ])
  } finally {
    postgres.thaw()
  }
  t.equal(await value(patient, 'a'), undefined)
  await until(answers)
  t.equal(await patient.batch([insert('a')]), true)
})

t.test('a refused connection reveals neither host nor user nor database', async (t) => {
  const urls = [
    postgres.url('no_such_database'),
    postgres.admin.replace('postgres@', 'no-such-user:s3cret@'),
    'postgres://someone:s3cret@127.0.0.1:1/keyturn',
    'postgres://someone:s3cret@localhost:1/keyturn',
    'postgres://someone:s3cret@no-such-host.invalid/keyturn',
  ]
  for (const url of urls) {
    const db = openDb(url, { timeout: 1 })
    const error = await db.query('SELECT 1').catch((error) => error)
    t.match(error, UNAVAILABLE)
    t.ok(error.cause.message.length > 10, `the log says: ${error.cause.message}`)
    t.notMatch(error.cause.message, /s3cret/, 'the log has no password')
    await db.close()
  }
})

t.test(
  'commits are flushed whatever the default of the database is, and a database without UTF-8 is refused',
  async (t) => {
    const { db, url } = await open(t as Test)
    await run(postgres.admin, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET synchronous_commit = off`)
    t.same(await db.query(`SELECT current_setting('synchronous_commit') AS it`), [{ it: 'on' }])

    await run(
      postgres.admin,
      `CREATE DATABASE ascii ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0`,
    )
    const ascii = openDb(postgres.url('ascii'), { timeout: 120 })
    t.teardown(() => ascii.close())
    const error = await ascii.query('SELECT 1').catch((error) => error)
    t.match(error.cause, { name: 'StoreUnusable', message: /encoded in LATIN1/ })
  },
)
