/** Connections: how they are made, what each is told first. Loads the driver, which nobody else needs. */
import { Socket } from 'node:net'
import type { Client, ClientBase, ClientConfig, Pool } from 'pg'
import { StoreUnusable } from '../db.ts'

/** Type of BIGINT and of count(*); ours are seconds and counters, far below 2^53. */
const INT8 = 20

/** Beyond what the server itself allows a statement: then nobody is there any more. */
const SILENCE_MS = 1000

const IDLE_MS = 60_000
/** A connection on which nothing comes for this long is asked whether its other end is still there. */
const KEEP_ALIVE_MS = 10_000

const common = (url: string, limit: number): ClientConfig => ({
  connectionString: url,
  // By this name nodes and commands are found in pg_stat_activity.
  application_name: 'keyturn',
  connectionTimeoutMillis: limit,
  keepAlive: true,
  statement_timeout: limit,
  query_timeout: limit + SILENCE_MS,
})

/**
 * One that is not of a pool.
 * @param opened is given its socket at once, for whoever must end it whatever state it is in
 */
export async function connectDedicated(
  url: string,
  timeout: number,
  opened: (socket: Socket) => void,
): Promise<Client> {
  const { default: pg } = await import('pg')
  const socket = new Socket()
  opened(socket)
  const client = new pg.Client({
    ...common(url, timeout * 1000),
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    stream: () => socket,
  })
  // Whoever uses it has one of his own; without any, an error would end the process.
  client.on('error', () => {})
  await client.connect()
  return client
}

export async function createPool(url: string, size: number, timeout: number): Promise<Pool> {
  const { default: pg } = await import('pg')
  const limit = timeout * 1000
  const types = {
    getTypeParser: (oid: number, format?: 'text') =>
      oid === INT8 && format !== ('binary' as string) ? Number : pg.types.getTypeParser(oid, format),
  }
  const pool = new pg.Pool({
    ...common(url, limit),
    max: size,
    idleTimeoutMillis: IDLE_MS,
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
