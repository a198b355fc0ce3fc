/** Connections: how they are made, what each is told first. Loads the driver, which nobody else needs. */
import type { ClientBase, ClientConfig, Pool } from 'pg'
import { StoreUnusable } from './db.ts'

/** Type of BIGINT and of count(*); ours are seconds and counters, far below 2^53. */
const INT8 = 20

/** Beyond what the server itself allows a statement: then nobody is there any more. */
const SILENCE_MS = 1000

const IDLE_MS = 60_000

export async function createPool(url: string, size: number, timeout: number): Promise<Pool> {
  const { default: pg } = await import('pg')
  const limit = timeout * 1000
  const types = {
    getTypeParser: (oid: number, format?: 'text') =>
      oid === INT8 && format !== ('binary' as string) ? Number : pg.types.getTypeParser(oid, format),
  }
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'keyturn',
    max: size,
    connectionTimeoutMillis: limit,
    idleTimeoutMillis: IDLE_MS,
    keepAlive: true,
    statement_timeout: limit,
    query_timeout: limit + SILENCE_MS,
    // A node that was frozen in mid-transaction must not hold its locks for ever.
    idle_in_transaction_session_timeout: limit,
    pipeline: true,
    types: types as ClientConfig['types'],
    onConnect: prepareSession,
  })
  // An idle connection that ends has been taken out of the pool already; who needs one gets another.
  pool.on('error', () => {})
  // One in use tells its user through the query; without a listener it would end the process too.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

interface Session {
  readonly encoding: string
}

/** What was answered as done is on disk, whatever the database's default says (`on` and stricter stay). */
const PREPARE = `SELECT set_config('synchronous_commit',
                                   CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                                        ELSE current_setting('synchronous_commit') END, false),
                        current_setting('server_encoding') AS encoding`

async function prepareSession(client: ClientBase): Promise<void> {
  const { rows } = await client.query<Session>(PREPARE)
  const encoding = rows[0]?.encoding
  if (encoding !== 'UTF8') {
    throw new StoreUnusable(`the database is encoded in ${encoding}: make it with ENCODING 'UTF8'`)
  }
}
