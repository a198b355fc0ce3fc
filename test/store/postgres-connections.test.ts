/** A connection that turned out to be useless says something about the others: one failure is enough (docs/security.md Q6). */
import t, { type Test } from 'tap'
import type { Db, Step } from '../../src/store/db.ts'
import { openDb } from '../../src/store/index.ts'
import { run } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { silentLink } from '../support/postgres/silent-link.ts'
import { until } from '../support/server/waiting.ts'

const postgres = await startPostgres(t)
const POOL = 12
const UNAVAILABLE = { name: 'StoreUnavailable' }

const insert = (id: string): Step => ({
  sql: 'INSERT INTO single_use (id, expires_at) VALUES ($1, 1)',
  params: [id],
})

/** Opens all connections of the pool. Each has prepared the statement. */
const onAll = (db: Db, sql = 'SELECT 1 AS one') =>
  Promise.all(Array.from({ length: POOL }, () => db.query(sql)))

/** A store whose connections have all gone silent. */
async function silenced(t: Test) {
  const link = await silentLink(t, await postgres.database(t))
  const db = openDb(link.url, { pool: POOL, timeout: 1 })
  t.teardown(() => db.close())
  await onAll(db)
  t.equal(link.open(), POOL)
  link.silence()
  return { link, db }
}

const kinds: Record<string, (db: Db) => Promise<unknown>> = {
  'a query': (db) => db.query('SELECT 1 AS one'),
  'queries that share a statement': (db) =>
    db.query('SELECT id FROM single_use WHERE id IN ($1)', ['a'], 'id'),
  'a batch of one step': (db) => db.batch([insert('a')]),
  'a batch of several steps': (db) => db.batch([insert('b'), insert('c')]),
}
for (const [kind, use] of Object.entries(kinds)) {
  t.test(`after silence, ${kind} fails once, and the next one gets a new connection`, async (t) => {
    const { link, db } = await silenced(t as Test)
    await t.rejects(use(db), UNAVAILABLE, 'and does not wait again')
    t.equal(link.tried(), 1)
    await use(db)
    t.equal(link.tried(), 1, 'no other connection that has gone silent is tried')
  })
}

t.test('a connection that has gone silent is closed at once, and holds up no shutdown', async (t) => {
  const { link, db } = await silenced(t as Test)
  await t.rejects(db.batch([insert('a')]), UNAVAILABLE)
  await until(() => link.open() === POOL - 1)
  await db.close()
  await until(() => link.open() === 0)
})

t.test('a statement that every connection has prepared works after its table gets a column', async (t) => {
  const url = await postgres.database(t)
  const db = openDb(url, { pool: POOL, timeout: 120 })
  t.teardown(() => db.close())
  await db.batch([{ sql: 'CREATE TABLE changing (id TEXT)' }, { sql: `INSERT INTO changing VALUES ('a')` }])
  t.teardown(() => run(url, 'DROP TABLE changing'))
  const sql = 'SELECT * FROM changing'
  await onAll(db, sql)
  await run(url, 'ALTER TABLE changing ADD COLUMN more BIGINT DEFAULT 7')
  t.same(await db.query(sql), [{ id: 'a', more: 7 }])
})

t.test(
  'after a failover, one batch is refused by the old primary, and not one for each connection',
  async (t) => {
    const url = await postgres.database(t)
    const name = new URL(url).pathname.slice(1)
    const db = openDb(url, { pool: POOL, timeout: 120 })
    t.teardown(() => db.close())
    await run(postgres.admin, `ALTER DATABASE ${name} SET default_transaction_read_only = on`)
    await onAll(db)
    await run(postgres.admin, `ALTER DATABASE ${name} RESET ALL`)
    await t.rejects(db.batch([insert('a')]), UNAVAILABLE)
    t.equal(await db.batch([insert('b')]), true)
  },
)
