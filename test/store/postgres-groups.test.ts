/** Queries and batches that come at once share statements: each still gets its own answer, and waits for nobody else's row. */
import pg from 'pg'
import t, { type Test } from 'tap'
import type { Db, Step } from '../../src/store/db.ts'
import { openDb } from '../../src/store/index.ts'
import { countingLink } from '../support/postgres/counting-link.ts'
import { run, untilWaiting } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { turns, until } from '../support/server/waiting.ts'

const postgres = await startPostgres(t)

const ids = (count: number) => Array.from({ length: count }, (_, i) => `id-${String(i).padStart(3, '0')}`)

const insert = (id: string): Step => ({
  sql: 'INSERT INTO single_use (id, expires_at) VALUES ($1, 1)',
  params: [id],
})
/** Changes the row if its value is `from`. */
const increase = (id: string, from = 1): Step => ({
  sql: 'UPDATE single_use SET expires_at = expires_at + 1 WHERE id = $1 AND expires_at = $2',
  params: [id, from],
  expectRows: 1,
  row: { table: 'single_use', key: 'id' },
})
const values = async (url: string) =>
  (await run(url, 'SELECT expires_at AS n FROM single_use ORDER BY id')).rows.map(({ n }) => Number(n))
const WAITING_FOR_LOCKS = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
const find = (db: Db, id: string) =>
  db.query<{ id: string }>('SELECT id FROM single_use WHERE id IN ($1)', [id], 'id')
const allSettled = async (promises: readonly Promise<unknown>[]) =>
  (await Promise.allSettled(promises)).map((one) =>
    one.status === 'fulfilled' ? one.value : one.reason.name,
  )

/** Whether the store answers so many queries at once. */
const answers = async (db: Db, count: number) =>
  (await allSettled(Array.from({ length: count }, () => db.query('SELECT 1')))).every(Array.isArray)

const tooBusy = (what: string) => ({
  name: 'StoreUnavailable',
  cause: { message: `${what} waiting for other statements` },
})

/** Nothing can read the table until the transaction of this connection ends. */
async function lockTable(url: string): Promise<pg.Client> {
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  await other.query('BEGIN; LOCK TABLE single_use IN ACCESS EXCLUSIVE MODE')
  return other
}

/** A store with these rows, which all have the value 1. */
async function open(t: Test, rows: readonly string[], pool: number) {
  const url = await postgres.database(t)
  const link = await countingLink(t, url)
  const db = openDb(link.url, { pool, timeout: 120 })
  t.teardown(() => db.close())
  await db.batch(rows.map(insert))
  return { url, db, link }
}

t.test('fifty queries or batches at once take a few round trips', async (t) => {
  const { url, db, link } = await open(t as Test, ids(50), 1)
  const before = link.roundTrips()
  t.same(
    await Promise.all(ids(50).map((id) => find(db, id))),
    ids(50).map((id) => [{ id }]),
  )
  t.same(new Set(await Promise.all(ids(50).map((id) => db.batch([increase(id)])))), new Set([true]))
  t.ok(link.roundTrips() - before <= 10, `${link.roundTrips() - before}`)
  t.same(await values(url), Array(50).fill(2))
})

t.test('each batch of a group has its own outcome', async (t) => {
  const { url, db } = await open(t as Test, ids(20), 4)
  const outcomes = await Promise.all(ids(20).map((id, i) => db.batch([increase(id, i % 4 === 3 ? 7 : 1)])))
  t.same(
    outcomes,
    ids(20).map((_, i) => i % 4 !== 3),
  )
  t.same(
    await values(url),
    ids(20).map((_, i) => (i % 4 === 3 ? 1 : 2)),
  )
})

t.test('of twenty batches that want to change one row in the same way, one does', async (t) => {
  const { url, db } = await open(t as Test, ids(2), 4)
  const same = Array.from({ length: 20 }, () => db.batch([increase('id-000')]))
  const outcomes = await Promise.all([...same, db.batch([increase('id-001')])])
  t.equal(outcomes.filter(Boolean).length, 2)
  t.same(await values(url), [2, 2])
})

t.test('a row that another transaction has locked holds up only the batch that changes it', async (t) => {
  const { url, db } = await open(t as Test, ids(20), 10)
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  await other.query(`BEGIN; SELECT 1 FROM single_use WHERE id IN ('id-000', 'id-001', 'id-005') FOR UPDATE`)
  const [first, second, ...rest] = ids(20).map((id) => db.batch([increase(id)]))
  const [locked] = rest.splice(3, 1)
  t.same(new Set(await Promise.all(rest)), new Set([true]))
  t.same((await values(url)).filter((value) => value === 1).length, 3)
  await untilWaiting(url, 'Lock')
  // Meanwhile, the other transaction takes one of the rows away from its batch.
  await other.query(`UPDATE single_use SET expires_at = 9 WHERE id = 'id-001'; COMMIT`)
  t.same(await Promise.all([first, second, locked]), [true, false, true])
  await other.end()
})

t.test('more locked rows than connections hold up only the batches that change them', async (t) => {
  const { url, db } = await open(t as Test, ids(20), 4)
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  await other.query(`BEGIN; SELECT 1 FROM single_use WHERE id < 'id-010' FOR UPDATE`)
  const locked = Promise.all(ids(10).map((id) => db.batch([increase(id)])))
  await until(async () => (await run(url, WAITING_FOR_LOCKS)).rowCount === 2)
  const free = ids(20).slice(10)
  t.same(new Set(await Promise.all(free.map((id) => db.batch([increase(id)])))), new Set([true]))
  t.same(await find(db, 'id-000'), [{ id: 'id-000' }])
  t.equal((await run(url, WAITING_FOR_LOCKS)).rowCount, 2, 'half of the connections wait')
  await other.query('COMMIT')
  t.same(new Set(await locked), new Set([true]))
  t.same(await values(url), Array(20).fill(2))
  await other.end()
})

t.test(
  'a bounded number waits for a statement to share, and does not count as waiting for a connection',
  async (t) => {
    const { url, db } = await open(t as Test, ids(1), 1)
    const other = await lockTable(url)
    const first = find(db, 'id-000')
    await untilWaiting(url, 'Lock')
    const found = Array.from({ length: 100 }, () => find(db, 'id-000'))
    await t.rejects(find(db, 'id-000'), tooBusy('too many requests'))
    t.equal(db.pool?.().waiting, 0)
    await other.query('COMMIT')
    t.same(await Promise.all([first, ...found]), Array(101).fill([{ id: 'id-000' }]))
    await other.end()
  },
)

t.test(
  'a batch waits for a statement to share until the timeout, and for a stuck one no longer',
  async (t) => {
    const url = await postgres.database(t as Test)
    const db = openDb(`${url}?statement_timeout=60000`, { pool: 1, timeout: 1 })
    t.teardown(() => db.close())
    await until(() => answers(db, 1))
    const other = await lockTable(url)
    const begun = allSettled([db.batch([increase('id-000')])])
    await turns()
    await t.rejects(db.batch([increase('id-000')]), tooBusy('too long'))
    t.same(await begun, ['StoreUnavailable'])
    // Its connection is not used again: the statement still waits.
    await until(() => answers(db, 1))
    await other.end()
  },
)

t.test('a value that the server cannot take fails alone', async (t) => {
  const { url, db } = await open(t as Test, ids(10), 4)
  const wrong = ['a\0b', ...ids(10), 'c\0d']
  const read = await allSettled(wrong.map((id) => find(db, id)))
  t.same(
    read,
    wrong.map((id) => (id.includes('\0') ? 'error' : [{ id }])),
  )
  const written = await allSettled(wrong.map((id) => db.batch([increase(id)])))
  t.same(
    written,
    wrong.map((id) => (id.includes('\0') ? 'error' : true)),
  )
  t.same(await values(url), Array(10).fill(2))
})

t.test('damage fails only the query or batch whose row has met it', async (t) => {
  const { url, db } = await open(t as Test, ids(10), 4)
  // Corrupted data, an internal error as for a missing part of a long value, and a disk that cannot be read.
  for (const code of ['XX001', 'XX000', '58030']) {
    await run(
      url,
      `CREATE OR REPLACE FUNCTION damaged(id TEXT) RETURNS BOOLEAN LANGUAGE plpgsql AS
         $$ BEGIN IF id = 'id-005' THEN RAISE EXCEPTION 'damaged' USING ERRCODE = '${code}'; END IF; RETURN false; END $$;
       CREATE OR REPLACE FUNCTION touch_row() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM damaged(OLD.id); RETURN NEW; END $$;
       CREATE OR REPLACE TRIGGER touch_row BEFORE UPDATE ON single_use FOR EACH ROW EXECUTE FUNCTION touch_row()`,
    )
    const read = (id: string) =>
      db.query('SELECT id FROM single_use WHERE id IN ($1) AND NOT damaged(id)', [id], 'id')
    const error = code === 'XX001' ? 'StoreDamaged' : 'StoreUnavailable'
    t.same(
      await allSettled(ids(10).map(read)),
      ids(10).map((id) => (id === 'id-005' ? error : [{ id }])),
    )
    const [{ n = 0 } = {}] = await db.query<{ n: number }>('SELECT max(expires_at) AS n FROM single_use')
    t.same(
      await allSettled(ids(10).map((id) => db.batch([increase(id, n)]))),
      ids(10).map((id) => (id === 'id-005' ? error : true)),
    )
    await run(
      url,
      `DROP TRIGGER touch_row ON single_use; UPDATE single_use SET expires_at = ${n + 1};
       DROP FUNCTION touch_row; DROP FUNCTION damaged`,
    )
  }
})

t.test(
  'a step that changes two rows, or expects another number, has the outcome that it has alone',
  async (t) => {
    const { url, db } = await open(t as Test, ids(2), 1)
    const all: Step = {
      sql: 'UPDATE single_use SET expires_at = expires_at + 1 WHERE expires_at = $1',
      params: [1],
      expectRows: 1,
      row: { table: 'single_use', key: 'expires_at' },
    }
    t.equal(await db.batch([all]), false)
    t.same(await values(url), [1, 1])
    t.equal(await db.batch([{ ...increase('id-000'), expectRows: 2 }]), false)
    t.same(await values(url), [1, 1])
    t.equal(await db.batch([{ ...all, expectRows: 2 }]), true)
    t.same(await values(url), [2, 2])
  },
)

t.test('a batch with a wrong number of parameters fails alone', async (t) => {
  const { url, db } = await open(t as Test, ids(10), 1)
  const batches = ids(10).map((id) => increase(id))
  const [few, many] = [
    { ...increase('id-004'), params: [] },
    { ...increase('id-005'), params: ['id-004', 1, 'id-005', 1] },
  ]
  batches.splice(4, 2, few, many)
  const outcomes = await allSettled(batches.map((step) => db.batch([step])))
  t.same(
    outcomes,
    batches.map((step) => (step === few || step === many ? 'error' : true)),
  )
  t.same(
    await values(url),
    batches.map((step) => (step === few || step === many ? 1 : 2)),
  )
})

t.test('a query whose key is not the column that it looks for fails, even alone', async (t) => {
  const { db } = await open(t as Test, ids(1), 1)
  for (const [columns, key] of [
    ['id', 'name'],
    ['id, expires_at', 'expires_at'],
    ['count(*) AS count', 'id'],
  ]) {
    const sql = `SELECT ${columns} FROM single_use WHERE id IN ($1)`
    await t.rejects(db.query(sql, ['id-000'], key), { message: /is not the column that the query looks for/ })
  }
})

t.test(
  'a group whose answer is lost may have been committed, and is not repeated (docs/security.md Q6)',
  async (t) => {
    const { url, db, link } = await open(t as Test, ids(10), 1)
    const first = db.batch([increase('id-000')])
    await turns()
    const rest = ids(10).slice(1)
    const all = [first, ...rest.map((id) => db.batch([increase(id)]))]
    // The group of all that wait is sent when the first one has been answered.
    await first
    link.loseAnswer('08006')
    const outcomes = await allSettled(all)
    const lost = outcomes.filter((outcome) => outcome === 'StoreUnavailable').length
    t.ok(lost > 1, `${lost} were lost`)
    t.equal(outcomes.filter((outcome) => outcome === true).length, 10 - lost)
    t.same(await values(url), Array(10).fill(2))
  },
)

t.test('a group that the server has ended is carried out, once', async (t) => {
  const { url, db } = await open(t as Test, ids(10), 4)
  const other = await lockTable(url)
  const outcomes = allSettled(ids(10).map((id) => db.batch([increase(id)])))
  await untilWaiting(url, 'Lock')
  await run(url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'`)
  await other.query('COMMIT')
  t.same(await outcomes, Array(10).fill(true))
  t.same(await values(url), Array(10).fill(2))
  await other.end()
})
