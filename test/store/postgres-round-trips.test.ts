/** What travels between a node and its PostgreSQL: each wait for an answer costs as much as the network between them. */
import pg from 'pg'
import t, { type Test } from 'tap'
import type { Db, Step } from '../../src/store/db.ts'
import { createStore, openDb } from '../../src/store/index.ts'
import { insertOwners, session } from '../contracts/client-sessions.ts'
import { countingLink, type Link } from '../support/postgres/counting-link.ts'
import { run, untilWaiting } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { until } from '../support/server/waiting.ts'

const postgres = await startPostgres(t)

interface Opened extends Pick<Link, 'cut' | 'loseAnswer'> {
  readonly db: Db
  readonly url: string
  /** The round trips of `work`. */
  counted(work: () => Promise<unknown>): Promise<number>
}

async function open(t: Test): Promise<Opened> {
  const url = await postgres.database(t)
  const link = await countingLink(t, url)
  const db = openDb(link.url, { pool: 1, timeout: 120 })
  t.teardown(() => db.close())
  await db.query('SELECT 1')
  const counted = async (work: () => Promise<unknown>) => {
    const before = link.roundTrips()
    await work()
    return link.roundTrips() - before
  }
  return { db, url, counted, cut: link.cut, loseAnswer: link.loseAnswer }
}

const insert = (id: string): Step => ({
  sql: 'INSERT INTO single_use (id, expires_at) VALUES ($1, 1)',
  params: [id],
})
const touchAll = (rows?: number): Step => ({
  sql: 'UPDATE single_use SET expires_at = expires_at + 1 WHERE expires_at >= $1',
  params: [0],
  ...(rows === undefined ? {} : { expectRows: rows }),
})
const values = async (db: Db) =>
  (await db.query<{ n: number }>('SELECT expires_at AS n FROM single_use ORDER BY id')).map(({ n }) => n)

t.test('a query and a batch of one step each take one round trip', async (t) => {
  const { db, counted } = await open(t as Test)
  t.equal(await counted(() => db.query('SELECT 1')), 1)
  t.equal(await counted(() => db.batch([insert('a')])), 1)
  t.equal(await counted(() => db.batch([touchAll(1)])), 1)
  t.equal(await counted(() => db.batch([insert('b'), touchAll(2)])), 3, 'BEGIN, the steps, COMMIT')
  t.same(await values(db), [3, 2])
})

t.test('one step runs at READ COMMITTED, whatever the default of the database', async (t) => {
  const url = await postgres.database(t as Test)
  const name = new URL(url).pathname.slice(1)
  await run(url, `ALTER DATABASE ${name} SET default_transaction_isolation = 'serializable'`)
  t.teardown(() => run(url, `ALTER DATABASE ${name} RESET default_transaction_isolation`))
  const db = openDb(url, { timeout: 120 })
  t.teardown(() => db.close())
  const [row] = await db.query<{ level: string }>(`SELECT current_setting('transaction_isolation') AS level`)
  t.equal(row?.level, 'read committed')
})

t.test('one step that changes an unexpected number of rows changes nothing', async (t) => {
  const { db } = await open(t as Test)
  await db.batch([insert('a'), insert('b')])
  for (const rows of [0, 1, 3]) t.equal(await db.batch([touchAll(rows)]), false, `${rows}`)
  t.same(await values(db), [1, 1])
  t.equal(await db.batch([touchAll(2)]), true)
  t.equal(await db.batch([{ ...touchAll(1), params: [99] }]), false, 'no row')
  t.same(await values(db), [2, 2])
  t.equal(await db.batch([{ ...touchAll(0), params: [99] }]), true, 'none, as expected')
})

t.test(
  'one step whose connection is lost without a word may have been committed, and is not repeated (docs/security.md Q6)',
  async (t) => {
    const { db, url, cut } = await open(t as Test)
    await db.batch([insert('a')])
    const other = new pg.Client({ connectionString: url })
    await other.connect()
    await other.query('BEGIN; SELECT 1 FROM single_use FOR UPDATE')
    const lost = t.rejects(db.batch([touchAll(1)]), { name: 'StoreUnavailable', retryAfter: 3 })
    await untilWaiting(url, 'Lock')
    cut()
    await lost
    await other.query('COMMIT')
    // The server has noticed nothing yet, and carries it out.
    await until(async () => (await values(db))[0] === 2)
    t.equal(await db.batch([touchAll(1)]), true)
    t.same(await values(db), [3])
    await other.end()
  },
)

t.test(
  'one step whose server a pooler has lost may have been committed, and is not repeated (docs/security.md Q6)',
  async (t) => {
    for (const sqlState of ['08006', '08P01', '58000', 'XX000']) {
      const { db, loseAnswer } = await open(t as Test)
      await db.batch([insert('a')])
      loseAnswer(sqlState)
      await t.rejects(db.batch([touchAll(1)]), { name: 'StoreUnavailable', retryAfter: 3 })
      t.same(await values(db), [2], sqlState)
    }
  },
)

t.test('a parameter that is neither text nor a number nor null is a mistake in the program', async (t) => {
  const { db } = await open(t as Test)
  for (const param of [true, undefined, {}, 1n]) {
    await t.rejects(db.query('SELECT $1', [param as never]), TypeError)
    await t.rejects(db.batch([{ ...insert('a'), params: [param as never] }]), TypeError)
  }
  t.same(await db.query('SELECT $1 AS param', [null]), [{ param: null }])
})

t.test('one step without a timeout has none', async (t) => {
  const url = await postgres.database(t as Test)
  const db = openDb(`${url}?statement_timeout=500`, { timeout: 120 })
  t.teardown(() => db.close())
  const sleep: Step = { sql: 'SELECT pg_sleep(1)' }
  await t.rejects(db.batch([sleep]), { name: 'StoreUnavailable' })
  t.equal(await db.batch([sleep], { noTimeout: true }), true)
})

t.test('a query whose connection is lost is repeated', async (t) => {
  const { db, loseAnswer } = await open(t as Test)
  await db.batch([insert('a')])
  for (const sqlState of ['57P01', '08006', '08P01']) {
    loseAnswer(sqlState)
    t.same(await values(db), [1], sqlState)
  }
})

t.test('a refresh takes two round trips', async (t) => {
  const { db, counted } = await open(t as Test)
  const store = createStore(db)
  await insertOwners(store)
  await store.clientSessions.insert(session())
  const refresh = async (generation: number) => {
    await store.clientSessions.findWithUser('session')
    t.equal(await store.clientSessions.rotate('session', generation, 1500, 2500), true)
  }
  t.equal(await counted(() => refresh(1)), 2)
  t.equal(await counted(() => refresh(2)), 2, 'with prepared statements')
})

t.test('refreshes that come at once share their round trips', async (t) => {
  const { db, counted } = await open(t as Test)
  const store = createStore(db)
  await insertOwners(store)
  const ids = Array.from({ length: 40 }, (_, i) => `session-${i}`)
  for (const id of ids) await store.clientSessions.insert(session({ id }))
  const refresh = async (id: string) => {
    await store.clientSessions.findWithUser(id)
    return store.clientSessions.rotate(id, 1, 1500, 2500)
  }
  const count = await counted(async () => t.notOk((await Promise.all(ids.map(refresh))).includes(false)))
  t.ok(count < ids.length, `${count}`)
})

t.test('most refreshes update no index (heap-only tuples)', async (t) => {
  const { db, url } = await open(t as Test)
  const store = createStore(db)
  await insertOwners(store)
  await store.clientSessions.insert(session({ idleExpiresAt: 7200 }))
  // As with access tokens that are valid for ten minutes.
  for (let generation = 1; generation <= 100; generation += 1) {
    const end = 7200 + generation * 600
    t.equal(await store.clientSessions.rotate('session', generation, 7200, end), true)
  }
  await db.close()
  const counts = async () => {
    const { rows } = await run(
      url,
      `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'client_sessions'`,
    )
    return rows[0]
  }
  // A backend reports its counters when it ends.
  let counted = await counts()
  while (Number(counted?.n_tup_upd) < 100) counted = await counts()
  // One in six ends in another hour.
  t.ok(Number(counted?.n_tup_hot_upd) > 75, `${counted?.n_tup_hot_upd} of ${counted?.n_tup_upd}`)
})
