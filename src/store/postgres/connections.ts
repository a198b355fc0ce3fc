/** The connections of a node, and the statements that are prepared on them. Must not know any table. */
import type { Pool, PoolClient, QueryResult } from 'pg'
import { type Param, StoreUnavailable } from '../db.ts'
import { isConnectionUseless, translate } from './errors.ts'
import { abandon, createPool } from './pool.ts'

/** Requests that may wait for each connection of the pool. More would only time out later. */
export const QUEUE = 100
/** Statements that are prepared on each connection. Others, such as migrations, run once. */
const MAX_PREPARED = 400

export interface Connections {
  /** @throws {StoreUnavailable} if the server cannot be reached, or too many requests wait */
  connect(): Promise<PoolClient>
  /** Gives the connection back. Closes it if the error says that it is useless. */
  release(client: PoolClient, error?: unknown): void
  execute(client: PoolClient, sql: string, params?: readonly Param[]): Promise<QueryResult>
  /** Of the pool; zeros before the first connection. */
  state(): Pick<Pool, 'totalCount' | 'idleCount' | 'waitingCount'>
  end(): Promise<void>
}

/**
 * @param size the highest number of connections
 * @param timeout seconds that connecting, waiting for a connection, or a statement may take
 */
export function createConnections(url: string, size: number, timeout: number): Connections {
  const names = new Map<string, string>()
  let opened: Promise<Pool> | undefined
  let connections: Pool | undefined
  /**
   * Grows when a connection turns out to be useless. Those of an earlier era are closed instead of used again: after a failover, a
   * migration or a silent loss of the network, each of them would fail a statement, perhaps after the whole time limit.
   */
  let era = 0
  const eraOf = new WeakMap<PoolClient, number>()

  /** The name of the prepared statement. It is equal on all connections, so that each plans the statement once. */
  function nameOf(sql: string): string | null {
    const existing = names.get(sql)
    if (existing !== undefined) return existing
    if (names.size >= MAX_PREPARED) return null
    const name = `k${names.size}`
    names.set(sql, name)
    return name
  }

  return {
    async connect() {
      opened ??= createPool(url, size, timeout)
      const pool = await opened
      connections = pool
      if (pool.waitingCount >= size * QUEUE)
        throw new StoreUnavailable(new Error('too many requests wait for a connection'))
      try {
        for (;;) {
          const client = await pool.connect()
          const opened = eraOf.get(client)
          if (opened === undefined) eraOf.set(client, era)
          if (opened === undefined || opened === era) return client
          abandon(client)
        }
      } catch (error) {
        throw translate(error, 'connecting')
      }
    },

    release(client, error) {
      if (error === undefined || !isConnectionUseless(error)) return client.release()
      if (eraOf.get(client) === era) era += 1
      abandon(client)
    },

    execute(client, sql, params = []) {
      const name = nameOf(sql)
      return client.query({ text: sql, values: checked(params), ...(name === null ? {} : { name }) })
    },

    state: () => connections ?? { totalCount: 0, idleCount: 0, waitingCount: 0 },

    async end() {
      await (await opened?.catch(() => undefined))?.end()
    },
  }
}

/** The driver would convert any value to JSON. A value that is not a Param is a programming mistake. */
export function checked(params: readonly Param[]): Param[] {
  for (const param of params) {
    if (param !== null && typeof param !== 'string' && typeof param !== 'number') {
      throw new TypeError(`a parameter must be text, a number or null, and is ${typeof param}`)
    }
  }
  return [...params]
}
