/**
 * The embedded engine. Must not know any table.
 *
 * Every commit flushes to disk. Batches that arrive while a commit is running, or in the same turn of the event loop, are committed
 * together, so the groups grow with the time that a flush takes (gathering.ts).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { ConstraintViolation, type Db, type Param, type Step, StoreDamaged, StoreUnavailable } from '../db.ts'
import { bind, createStatements, isUnavailable, type Outcome } from './commit-group.ts'
import {
  codeOf,
  createIdentityCheck,
  isBusy,
  isDamage,
  isLarge,
  openedFiles,
  openFile,
  type SqliteOptions,
} from './file.ts'
import { createGathering } from './gathering.ts'
import { startIntegrityCheck } from './integrity-check.ts'
import { createAdaptiveWriter, type Writer, writeHere } from './writer.ts'
import { startWriterThread } from './writer-thread.ts'

/** How long a batch waits for the lock in total, without blocking the event loop. */
export const BUSY_TIMEOUT_MS = 2000
const RETRY_MS = 25
/** Batches in one commit. With more, a failed commit would be more expensive. */
const MAX_GROUP = 256

interface QueuedBatch {
  readonly steps: readonly Step[]
  readonly since: number
  resolve(committed: boolean): void
  reject(error: unknown): void
}

export function openSqlite(file: string, options: SqliteOptions = {}): Db {
  const db = openFile(file, options)
  const assertSameFiles = file === ':memory:' ? () => {} : createIdentityCheck(file)
  const integrityCheck =
    options.integrityCheck && isLarge(file, options.largeFromBytes) ? startIntegrityCheck(file) : undefined
  const prepare = createStatements(db)
  const dataVersion = db.prepare('PRAGMA data_version').pluck()
  const writer = openWriter()
  const gathering = createGathering(() => performance.now())
  let pause: NodeJS.Timeout | undefined
  let waiting: QueuedBatch[] = []
  /** Commits of this connection and its writer: `data_version` does not count those of its own connection. */
  let commits = 0
  /** The commit that is running. */
  let committing: Promise<void> | undefined
  let scheduled = false
  let closed = false

  function openWriter(): Writer {
    const { onEnd, flushDelay = 0 } = options.writer ?? {}
    const here = writeHere(db, assertSameFiles, flushDelay)
    if (!onEnd || file === ':memory:') return here
    const identity = openedFiles(file)
    const startThread = () => startWriterThread({ file, identity, flushDelay })
    return createAdaptiveWriter({ here, startThread, onEnd })
  }

  async function commitWaiting(): Promise<void> {
    gathering.began(waiting.length)
    const group = waiting.slice(0, MAX_GROUP)
    waiting = waiting.slice(MAX_GROUP)
    const begun = performance.now()
    try {
      const outcomes = await writer.commit(group.map(({ steps }) => steps)).finally(() => {
        commits += 1
        gathering.ended(group.length, waiting.length, performance.now() - begun)
      })
      for (const [i, batch] of group.entries()) settle(batch, outcomes[i] ?? false)
    } catch (error) {
      const canRetry = isBusy(error) && !closed
      const now = performance.now()
      const retried = canRetry ? group.filter((batch) => now - batch.since < BUSY_TIMEOUT_MS) : []
      for (const batch of group) if (!retried.includes(batch)) batch.reject(translate(error))
      waiting = [...retried, ...waiting]
      if (retried.length > 0) await sleep(RETRY_MS)
    }
  }

  function schedule(): void {
    if (scheduled || committing || closed) return
    clearTimeout(pause)
    const ms = gathering.pause(waiting.length)
    if (ms > 0) pause = setTimeout(commitSoon, ms)
    else commitSoon()
  }

  /** The batches of this turn of the event loop are committed together. */
  function commitSoon(): void {
    scheduled = true
    setImmediate(() => {
      scheduled = false
      // What still waits when the store is closed is committed there.
      if (waiting.length === 0 || closed) return
      committing = commitWaiting().finally(() => {
        committing = undefined
        if (waiting.length > 0) schedule()
      })
    })
  }

  return {
    ...(integrityCheck ? { integrityChecked: integrityCheck.done } : {}),

    async query<Row>(sql: string, params: readonly Param[] = []) {
      const deadline = performance.now() + BUSY_TIMEOUT_MS
      for (;;) {
        if (closed) throw new StoreUnavailable(new Error('the store is closed'))
        try {
          assertSameFiles({ recentIsEnough: true })
          return prepare(sql).all(bind(params)) as Row[]
        } catch (error) {
          if (!isBusy(error) || performance.now() > deadline) throw translate(error)
        }
        await sleep(RETRY_MS)
      }
    },

    version() {
      try {
        assertSameFiles({ recentIsEnough: true })
        return `${commits} ${dataVersion.get()}`
      } catch {
        // The query that follows fails with the reason.
        return undefined
      }
    },

    batch(steps) {
      return new Promise((resolve, reject) => {
        if (closed) throw new StoreUnavailable(new Error('the store is closed'))
        waiting.push({ steps, since: performance.now(), resolve, reject })
        schedule()
      })
    },

    async scrub() {
      if (closed) throw new StoreUnavailable(new Error('the store is closed'))
      return writer.scrub()
    },

    async close() {
      if (closed) return
      closed = true
      integrityCheck?.stop()
      clearTimeout(pause)
      await committing
      while (waiting.length > 0) await commitWaiting()
      await writer.close()
      db.close()
    },
  }
}

function settle(batch: QueuedBatch, outcome: Outcome): void {
  if (typeof outcome === 'boolean') batch.resolve(outcome)
  else batch.reject(isConstraint(outcome.error) ? new ConstraintViolation(outcome.error) : outcome.error)
}

const isConstraint = (error: unknown): boolean => codeOf(error).startsWith('SQLITE_CONSTRAINT')

function translate(error: unknown): unknown {
  if (isDamage(error)) return new StoreDamaged(error)
  return isUnavailable(error) ? new StoreUnavailable(error) : error
}
