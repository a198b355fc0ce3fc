/**
 * The engine for many nodes: PostgreSQL, or another server with its protocol. Must not know any table.
 *
 * Batches run at READ COMMITTED: a conditional write waits for the row and then evaluates its condition again, so that a
 * compare-and-swap has one winner. If a condition is about another row, the batch locks that row first (`Step.lock`).
 * SERIALIZABLE would not need these locks, but it would abort transactions on every contended row.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool, PoolClient, QueryResult } from 'pg'
import { KeyturnError } from '../../errors.ts'
import {
  type BatchOptions,
  type ChangeListener,
  type Changes,
  type Db,
  type Param,
  type Step,
  StoreUnavailable,
} from '../db.ts'
import {
  isBusy,
  isConnectionLost,
  isEndedByServer,
  isLockTimeout,
  isQueueFull,
  isReadOnly,
  isRefused,
  isStalePlan,
  isUnsupported,
  translate,
} from './errors.ts'
import { CHANNEL, listen } from './listen.ts'
import { refusing } from './one-statement.ts'
import { createPool } from './pool.ts'

export interface PostgresOptions {
  /** The highest number of connections. */
  readonly pool?: number
  /** Seconds that connecting, waiting for a connection of the pool, or a statement may take. */
  readonly timeout?: number
}

/** Contention ends within a few attempts; after this many, the store is unavailable. */
const MAX_ATTEMPTS = 8
const PAUSE_MS = 5
/** Requests that may wait for each connection of the pool. More would only time out later. */
const QUEUE = 100
/** Statements that are prepared on each connection. Others, such as migrations, run once. */
const MAX_PREPARED = 400
const MIGRATION_TIMEOUT_MS = 6 * 3_600_000
/** How long a migration waits for a lock, at most half of the timeout. Then it pauses, so that other transactions can proceed. */
const LOCK_TIMEOUT_MS = 2000
const LOCK_RETRY_PAUSES = 50
/** Listeners receive the notification when the batch is committed, and not if it is rolled back. */
const NOTIFY_SQL = `SELECT pg_notify($1, '')`
/** The only statement that reads the server's clock. In all others, the time is a parameter. */
const SERVER_TIME_SQL = 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT AS ms'

export function openPostgres(url: string, options: PostgresOptions = {}): Db {
  const { pool: size = 10, timeout = 5 } = options
  const names = new Map<string, string>()
  const running = new Set<Promise<unknown>>()
  let opened: Promise<Pool> | undefined
  let connections: Pool | undefined
  let closing: Promise<void> | undefined
  const listeners = new Set<Changes>()
  let listening = false
  /** False once the server has turned out not to support notifications. */
  let canNotify = true

  async function connect(): Promise<PoolClient> {
    opened ??= createPool(url, size, timeout)
    const pool = await opened
    connections = pool
    if (pool.waitingCount >= size * QUEUE)
      throw new StoreUnavailable(new Error('too many requests wait for a connection'))
    try {
      return await pool.connect()
    } catch (error) {
      throw translate(error, 'connecting')
    }
  }

  /** The name of the prepared statement. It is equal on all connections, so that each plans the statement once. */
  function nameOf(sql: string): string | null {
    const existing = names.get(sql)
    if (existing !== undefined) return existing
    if (names.size >= MAX_PREPARED) return null
    const name = `k${names.size}`
    names.set(sql, name)
    return name
  }

  function execute(client: PoolClient, sql: string, params: readonly Param[] = []): Promise<QueryResult> {
    const name = nameOf(sql)
    return client.query({ text: sql, values: checked(params), ...(name === null ? {} : { name }) })
  }

  async function read<Row>(sql: string, params: readonly Param[]): Promise<Row[]> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await connect()
      try {
        const { rows } = await execute(client, sql, params)
        client.release()
        return rows as Row[]
      } catch (error) {
        const lost = isConnectionLost(error)
        client.release(lost || isStalePlan(error) || isReadOnly(error))
        // A query changes nothing, so it may be repeated.
        if (attempt === MAX_ATTEMPTS || !(lost || isBusy(error) || isStalePlan(error))) throw translate(error)
      }
      await pause(attempt)
    }
  }

  function write(steps: readonly Step[], options: BatchOptions): Promise<boolean> {
    const [step] = steps
    const isAlone = steps.length === 1 && step !== undefined && !step.notify && !options.noTimeout
    return isAlone ? writeOne(step) : writeAll(steps, options)
  }

  /**
   * A statement is a transaction of its own, so a batch of one takes one round trip instead of three. If the connection is lost without a
   * word of the server, it is not repeated, because it may have been committed.
   */
  async function writeOne({ sql, params, expectRows }: Step): Promise<boolean> {
    const text = expectRows === undefined ? sql : refusing(sql, expectRows)
    for (let attempt = 1; ; attempt += 1) {
      const client = await connect()
      try {
        const { rows } = await execute(client, text, params)
        client.release()
        return expectRows === undefined || rows[0]?.changed === expectRows
      } catch (error) {
        client.release(isConnectionLost(error) || isStalePlan(error) || isReadOnly(error))
        if (isRefused(error)) return false
        const again = isBusy(error) || isStalePlan(error) || isEndedByServer(error)
        if (attempt === MAX_ATTEMPTS || !again) throw translate(error)
      }
      await pause(attempt)
    }
  }

  async function writeAll(steps: readonly Step[], { noTimeout = false }: BatchOptions): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await connect()
      const notifies = canNotify && steps.some(({ notify }) => notify)
      let phase: 'steps' | 'commit' = 'steps'
      try {
        await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
        const done = noTimeout
          ? await runWithoutTimeout(client, steps)
          : await runSteps(client, steps, notifies)
        if (done) phase = 'commit'
        await client.query(done ? 'COMMIT' : 'ROLLBACK')
        client.release()
        return done
      } catch (thrown) {
        const error = thrown instanceof NotifyUnsupported ? thrown.cause : thrown
        const lost = isConnectionLost(error)
        await rollbackAndRelease(client, lost || isReadOnly(error) || phase === 'commit')
        // Without the notification, other nodes notice the change when they poll. The batch is repeated without it.
        const withoutNotification =
          thrown instanceof NotifyUnsupported || (notifies && phase === 'commit' && isQueueFull(error))
        if (withoutNotification) canNotify = false
        // After COMMIT was sent, only an explicit failure means that nothing was committed. A batch that may have been committed
        // is not repeated, because it could be applied twice.
        const again =
          withoutNotification || isBusy(error) || (phase === 'steps' && (lost || isStalePlan(error)))
        const waitsForLock = noTimeout && isLockTimeout(error)
        if (waitsForLock) attempt = 0
        else if (attempt === MAX_ATTEMPTS || !again) throw translate(error, phase)
      }
      await pause(attempt === 0 ? LOCK_RETRY_PAUSES : attempt)
    }
  }

  /** All steps are sent before the first response arrives, so that a batch of any length takes three round trips. */
  async function runSteps(client: PoolClient, steps: readonly Step[], notifies: boolean): Promise<boolean> {
    const sent = steps.map(({ sql, params, lock }) =>
      execute(client, lock ? `${sql} ${lock === 'share' ? 'FOR SHARE' : 'FOR UPDATE'}` : sql, params),
    )
    const answers = await Promise.allSettled(
      notifies ? [...sent, execute(client, NOTIFY_SQL, [CHANNEL])] : sent,
    )
    // Checked in order: responses after a failed step, or after a step that changed too few rows, do not matter.
    for (const [i, answer] of answers.entries()) {
      if (answer.status === 'rejected') {
        throw i === steps.length && isUnsupported(answer.reason)
          ? new NotifyUnsupported(answer.reason)
          : answer.reason
      }
      const expected = steps[i]?.expectRows
      if (expected !== undefined && answer.value.rowCount !== expected) return false
    }
    return true
  }

  /**
   * Runs the statements of a migration one by one, without a statement timeout, and without preparing them. A migration waits for
   * a lock only for a short time and then tries again: behind a statement that waits for a table lock, all reads and writes wait
   * too.
   */
  async function runWithoutTimeout(client: PoolClient, steps: readonly Step[]): Promise<boolean> {
    const limits = { query_timeout: MIGRATION_TIMEOUT_MS }
    await client.query('SET LOCAL statement_timeout = 0')
    await client.query(`SET LOCAL lock_timeout = ${Math.min(LOCK_TIMEOUT_MS, timeout * 500)}`)
    for (const { sql, params = [], expectRows } of steps) {
      const { rowCount } = await client.query({ text: sql, values: checked(params), ...limits })
      if (expectRows !== undefined && rowCount !== expectRows) return false
    }
    return true
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
        await track(() => read(NOTIFY_SQL, [channel]))
        canNotify = true
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
    query: <Row>(sql: string, params: readonly Param[] = []) => track(() => read<Row>(sql, params)),

    batch: (steps, options = {}) => track(async () => steps.length === 0 || write(steps, options)),

    async time() {
      const [row] = await track(() => read<{ ms: number }>(SERVER_TIME_SQL, []))
      return row?.ms ?? 0
    },

    pool() {
      const { totalCount = 0, idleCount = 0, waitingCount = 0 } = connections ?? {}
      const busy = totalCount - idleCount
      return { max: size, idle: idleCount, busy, waiting: waitingCount, listening }
    },

    changes,

    close() {
      closing ??= (async () => {
        await Promise.all([...listeners].map((tracked) => tracked.stop()))
        await Promise.allSettled(running)
        await (await opened?.catch(() => undefined))?.end()
      })()
      return closing
    },
  }
}

/** All steps succeeded, but the server does not support notifications. */
class NotifyUnsupported extends KeyturnError<'notifications_unsupported'> {
  constructor(cause: unknown) {
    super('notifications_unsupported', 'the server does not support notifications', { cause })
  }
}

/** Rolls back, so that the next batch gets a clean connection; or destroys the connection. */
async function rollbackAndRelease(client: PoolClient, broken: boolean): Promise<void> {
  if (!broken) {
    try {
      await client.query('ROLLBACK')
    } catch {
      broken = true
    }
  }
  client.release(broken)
}

/** The wait is longer after each attempt, so that the other transaction can finish. */
const pause = (attempt: number): Promise<void> => sleep(PAUSE_MS * attempt)

/** The driver would convert any value to JSON. A value that is not a Param is a programming mistake. */
function checked(params: readonly Param[]): Param[] {
  for (const param of params) {
    if (param !== null && typeof param !== 'string' && typeof param !== 'number') {
      throw new TypeError(`a parameter must be text, a number or null, and is ${typeof param}`)
    }
  }
  return [...params]
}
