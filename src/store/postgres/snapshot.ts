/** Reads the state of one moment from PostgreSQL, on a dedicated connection. Must not know any table. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Param, type Reader, StoreUnavailable } from '../db.ts'
import { translate } from './errors.ts'
import { createPool } from './pool.ts'

/** Finds nodes and commands by the application name of their connections. */
const COUNT_OTHERS = `SELECT count(*) AS nodes FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'keyturn' AND pid <> pg_backend_pid()`

/** When a server has just stopped and closed its connections, PostgreSQL still lists them for a moment. */
const DISCONNECT_TIMEOUT_MS = 3000
const POLL_MS = 50

/** @throws {StoreUnavailable} if a node or a command stays connected */
export async function openSnapshot(url: string, timeout: number): Promise<Reader> {
  const pool = await createPool(url, 1, timeout)
  const client = await pool.connect().catch(async (error) => {
    await pool.end()
    throw translate(error, 'connecting')
  })

  async function query<Row>(sql: string, params: readonly Param[] = []): Promise<Row[]> {
    const { rows } = await client.query(sql, [...params]).catch((error) => {
      throw translate(error)
    })
    return rows as Row[]
  }

  async function othersAreConnected(): Promise<boolean> {
    const [row] = await query<{ nodes: number }>(COUNT_OTHERS)
    return (row?.nodes ?? 0) > 0
  }

  async function close(): Promise<void> {
    client.release(true)
    await pool.end()
  }

  try {
    for (let polls = 0; await othersAreConnected(); polls += 1) {
      if (polls * POLL_MS >= DISCONNECT_TIMEOUT_MS) {
        throw new StoreUnavailable(
          new Error('other nodes or commands are connected to this database: stop them first'),
        )
      }
      await sleep(POLL_MS)
    }
    // Between two pages, the transaction is idle until the other store has written the page.
    await query(`SELECT set_config('idle_in_transaction_session_timeout', '0', false)`)
    await query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    return { query, close }
  } catch (error) {
    await close()
    throw error
  }
}
