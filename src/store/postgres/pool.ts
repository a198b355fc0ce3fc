/** Opens and prepares connections. Loads the driver, which only stores on PostgreSQL need. */
import { Socket } from 'node:net'
import type { Client, ClientBase, ClientConfig, Pool, PoolClient } from 'pg'
import { StoreUnusable } from '../db.ts'

/** Type of BIGINT and of count(*). The values are seconds and counters, far below 2^53. */
const INT8 = 20

/** A server that does not respond for this long after its own statement timeout is considered unreachable. */
const NO_ANSWER_MS = 1000

const IDLE_MS = 60_000
/** Idle time after which TCP keep-alive probes the connection. */
const KEEP_ALIVE_MS = 10_000

const common = (url: string, limit: number): ClientConfig => ({
  connectionString: url,
  // Nodes and commands have this name in pg_stat_activity.
  application_name: 'keyturn',
  connectionTimeoutMillis: limit,
  keepAlive: true,
  statement_timeout: limit,
  query_timeout: limit + NO_ANSWER_MS,
})

/**
 * Opens a connection outside the pool.
 * @param opened receives the socket at once, so that the caller can destroy it in any state
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
  // Callers add their own listener. Without any listener, an error would end the process.
  client.on('error', () => {})
  await client.connect()
  return client
}

const sockets = new WeakMap<ClientBase, Socket>()

/** Closes a connection without waiting for the server. The driver would first wait for the answers that have not come. */
export function abandon(client: PoolClient): void {
  sockets.get(client)?.destroy()
  client.release(true)
}

export async function createPool(url: string, size: number, timeout: number): Promise<Pool> {
  const { default: pg } = await import('pg')
  class PooledClient extends pg.Client {
    constructor(config: ClientConfig = {}) {
      const socket = new Socket()
      super({ ...config, stream: () => socket })
      sockets.set(this, socket)
    }
  }
  const limit = timeout * 1000
  const types = {
    getTypeParser: (oid: number, format?: 'text') =>
      oid === INT8 && format !== ('binary' as string) ? Number : pg.types.getTypeParser(oid, format),
  }
  const pool = new pg.Pool({
    ...common(url, limit),
    max: size,
    idleTimeoutMillis: IDLE_MS,
    // A process that has closed the pool does not wait for the server to close its side, which may not answer.
    allowExitOnIdle: true,
    // A node that is frozen within a transaction must not hold its locks forever.
    idle_in_transaction_session_timeout: limit,
    pipeline: true,
    Client: PooledClient,
    types: types as ClientConfig['types'],
    onConnect: prepareSession,
  })
  // The pool has already removed an idle connection that ends, and opens another one when it is needed.
  pool.on('error', () => {})
  // A connection in use reports errors through the query. Without a listener, an error would end the process.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

interface Session {
  readonly encoding: string
}

/**
 * A confirmed commit must be on disk, so a default of `off` is replaced by `on`. Stricter settings stay. A batch of one statement has no
 * BEGIN that would name its isolation level.
 */
const PREPARE = `SELECT set_config('synchronous_commit',
                                   CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                                        ELSE current_setting('synchronous_commit') END, false),
                        set_config('default_transaction_isolation', 'read committed', false),
                        current_setting('server_encoding') AS encoding`

async function prepareSession(client: ClientBase): Promise<void> {
  const { rows } = await client.query<Session>(PREPARE)
  const encoding = rows[0]?.encoding
  if (encoding !== 'UTF8') {
    throw new StoreUnusable(`the database is encoded in ${encoding}: create it with ENCODING 'UTF8'`)
  }
}
