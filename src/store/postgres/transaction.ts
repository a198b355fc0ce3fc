/** Batches of several steps: a transaction each. Must not know any table. */
import type { PoolClient } from 'pg'
import { KeyturnError } from '../../errors.ts'
import type { BatchOptions, Step } from '../db.ts'
import { MAX_ATTEMPTS, pause } from './attempts.ts'
import { type Connections, checked } from './connections.ts'
import {
  isBusy,
  isConnectionUseless,
  isLockTimeout,
  isQueueFull,
  isQuicklyLost,
  isStalePlan,
  isUnsupported,
  translate,
} from './errors.ts'
import { CHANNEL } from './listen.ts'

const MIGRATION_TIMEOUT_MS = 6 * 3_600_000
/** How long a migration waits for a lock, at most half of the timeout. Then it pauses, so that other transactions can proceed. */
const LOCK_TIMEOUT_MS = 2000
const LOCK_RETRY_PAUSES = 50
/** Listeners receive the notification when the batch is committed, and not if it is rolled back. */
export const NOTIFY_SQL = `SELECT pg_notify($1, '')`

export interface Transactions {
  write(steps: readonly Step[], options: BatchOptions): Promise<boolean>
  /** `supported` is false once the server has turned out not to support them. */
  readonly notifications: { supported: boolean }
}

/** @param timeout seconds that a statement may take */
export function createTransactions(connections: Connections, timeout: number): Transactions {
  const notifications = { supported: true }

  async function write(steps: readonly Step[], { noTimeout = false }: BatchOptions): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      const client = await connections.connect()
      const notifies = notifications.supported && steps.some(({ notify }) => notify)
      let phase: 'steps' | 'commit' = 'steps'
      try {
        await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
        const done = noTimeout
          ? await runWithoutTimeout(client, steps)
          : await runSteps(client, steps, notifies)
        if (done) phase = 'commit'
        await client.query(done ? 'COMMIT' : 'ROLLBACK')
        connections.release(client)
        return done
      } catch (thrown) {
        const error = thrown instanceof NotifyUnsupported ? thrown.cause : thrown
        await rollbackAndRelease(client, error)
        // Without the notification, other nodes notice the change when they poll. The batch is repeated without it.
        const withoutNotification =
          thrown instanceof NotifyUnsupported || (notifies && phase === 'commit' && isQueueFull(error))
        if (withoutNotification) notifications.supported = false
        // After COMMIT was sent, only an explicit failure means that nothing was committed. A batch that may have been committed
        // is not repeated, because it could be applied twice.
        const again =
          withoutNotification ||
          isBusy(error) ||
          (phase === 'steps' && (isQuicklyLost(error) || isStalePlan(error)))
        const waitsForLock = noTimeout && isLockTimeout(error)
        if (waitsForLock) attempt = 0
        else if (attempt === MAX_ATTEMPTS || !again) throw translate(error, phase)
      }
      await pause(attempt === 0 ? LOCK_RETRY_PAUSES : attempt)
    }
  }

  /** Rolls back, so that the next batch gets a clean connection; or closes the connection. */
  async function rollbackAndRelease(client: PoolClient, error: unknown): Promise<void> {
    if (isConnectionUseless(error)) return connections.release(client, error)
    try {
      await client.query('ROLLBACK')
      connections.release(client)
    } catch (failure) {
      connections.release(client, failure)
    }
  }

  /** All steps are sent before the first response arrives, so that a batch of any length takes three round trips. */
  async function runSteps(client: PoolClient, steps: readonly Step[], notifies: boolean): Promise<boolean> {
    const sent = steps.map(({ sql, params, lock }) =>
      connections.execute(
        client,
        lock ? `${sql} ${lock === 'share' ? 'FOR SHARE' : 'FOR UPDATE'}` : sql,
        params,
      ),
    )
    const answers = await Promise.allSettled(
      notifies ? [...sent, connections.execute(client, NOTIFY_SQL, [CHANNEL])] : sent,
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

  return { write, notifications }
}

/** All steps succeeded, but the server does not support notifications. */
class NotifyUnsupported extends KeyturnError<'notifications_unsupported'> {
  constructor(cause: unknown) {
    super('notifications_unsupported', 'the server does not support notifications', { cause })
  }
}
