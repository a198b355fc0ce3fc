/**
 * The engine for many nodes: PostgreSQL, or another server with its protocol. Must not know any table.
 *
 * Batches run at READ COMMITTED: a conditional write waits for the row and then evaluates its condition again, so that a
 * compare-and-swap has one winner. If a condition is about another row, the batch locks that row first (`Step.lock`).
 * SERIALIZABLE would not need these locks, but it would abort transactions on every contended row.
 */
import {
  type BatchOptions,
  type ChangeListener,
  type Changes,
  type Db,
  type Param,
  type Step,
  StoreUnavailable,
} from '../db.ts'
import { createConnections } from './connections.ts'
import { listen } from './listen.ts'
import { createSingleStatements } from './single.ts'
import { createTransactions, NOTIFY_SQL } from './transaction.ts'

export interface PostgresOptions {
  /** The highest number of connections. */
  readonly pool?: number
  /** Seconds that connecting, waiting for a connection of the pool or for a statement to share, or a statement may take. */
  readonly timeout?: number
}

/** The only statement that reads the server's clock. In all others, the time is a parameter. */
const SERVER_TIME_SQL = 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT AS ms'

export function openPostgres(url: string, options: PostgresOptions = {}): Db {
  const { pool: size = 10, timeout = 5 } = options
  const connections = createConnections(url, size, timeout)
  const single = createSingleStatements(connections, size, timeout)
  const transactions = createTransactions(connections, timeout)
  const running = new Set<Promise<unknown>>()
  let closing: Promise<void> | undefined
  const listeners = new Set<Changes>()
  let listening = false

  function write(steps: readonly Step[], options: BatchOptions): Promise<boolean> {
    const [step] = steps
    const isAlone = steps.length === 1 && step !== undefined && !step.notify && !options.noTimeout
    return isAlone ? single.write(step) : transactions.write(steps, options)
  }

  function track<T>(work: () => Promise<T>): Promise<T> {
    if (closing) return Promise.reject(new StoreUnavailable(new Error('the store is closed')))
    const promise = work()
    running.add(promise)
    const untrack = () => running.delete(promise)
    promise.then(untrack, untrack)
    return promise
  }

  function changes(listener: ChangeListener): Changes {
    const subscription = listen({
      url,
      timeout,
      async notify(channel) {
        await track(() => single.read(NOTIFY_SQL, [channel]))
        transactions.notifications.supported = true
      },
      listener: {
        onChange: listener.onChange,
        onStateChange(state, cause) {
          listening = state === 'listening'
          listener.onStateChange(state, cause)
        },
      },
    })
    const tracked = {
      async stop() {
        listeners.delete(tracked)
        listening = false
        await subscription.stop()
      },
    }
    listeners.add(tracked)
    return tracked
  }

  return {
    query: <Row>(sql: string, params: readonly Param[] = [], key?: string) =>
      track(() => single.read<Row>(sql, params, key)),

    batch: (steps, options = {}) => track(async () => steps.length === 0 || write(steps, options)),

    async time() {
      const [row] = await track(() => single.read<{ ms: number }>(SERVER_TIME_SQL, []))
      return row?.ms ?? 0
    },

    pool() {
      const { totalCount, idleCount, waitingCount } = connections.state()
      const busy = totalCount - idleCount
      return { max: size, idle: idleCount, busy, waiting: waitingCount, listening }
    },

    changes,

    close() {
      closing ??= (async () => {
        await Promise.all([...listeners].map((tracked) => tracked.stop()))
        await Promise.allSettled(running)
        await connections.end()
      })()
      return closing
    },
  }
}
