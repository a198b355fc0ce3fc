/**
 * The embedded engine. Must not know any table.
 *
 * Every commit flushes to disk, and the flush blocks the event loop. So batches that arrive in the same turn of the loop are
 * committed together, each under its own savepoint: fifty concurrent refreshes cost one flush, and each still succeeds or fails
 * independently.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type Database from 'better-sqlite3'
import { ConstraintViolation, type Db, type Param, type Step, StoreDamaged, StoreUnavailable } from '../db.ts'
import {
  codeOf,
  createIdentityCheck,
  isBusy,
  isDamage,
  isLarge,
  openFile,
  type SqliteOptions,
} from './file.ts'
import { startIntegrityCheck } from './integrity-check.ts'
import { scrubFile } from './scrub.ts'

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
  const statements = new Map<string, Database.Statement>()
  let waiting: QueuedBatch[] = []
  let scheduled = false
  let closed = false

  function prepare(sql: string): Database.Statement {
    let statement = statements.get(sql)
    if (!statement) {
      statement = db.prepare(sql)
      statements.set(sql, statement)
    }
    return statement
  }

  function run(steps: readonly Step[]): boolean {
    for (const { sql, params, expectRows, lock } of steps) {
      if (lock) continue
      const { changes } = prepare(sql).run(bind(params))
      if (expectRows !== undefined && changes !== expectRows) return false
    }
    return true
  }

  function runUnderSavepoint(steps: readonly Step[]): boolean {
    prepare('SAVEPOINT one').run()
    let succeeded = false
    try {
      succeeded = run(steps)
    } finally {
      // On a full disk, SQLite may have ended both the transaction and the savepoint.
      if (db.inTransaction) {
        if (!succeeded) prepare('ROLLBACK TO one').run()
        prepare('RELEASE one').run()
      }
    }
    return succeeded
  }

  /** @throws an error that fails the whole group. The failure of a single batch is its own outcome. */
  function commitGroup(group: readonly QueuedBatch[]): (() => void)[] {
    assertSameFiles()
    prepare('BEGIN IMMEDIATE').run()
    try {
      const outcomes = group.map((batch) => {
        try {
          const committed = runUnderSavepoint(batch.steps)
          return () => batch.resolve(committed)
        } catch (error) {
          // If the store is unavailable, all batches of the group fail. Any other error belongs to this batch.
          if (isUnavailable(error) || !db.inTransaction) throw error
          return () => batch.reject(isConstraint(error) ? new ConstraintViolation(error) : error)
        }
      })
      prepare('COMMIT').run()
      return outcomes
    } catch (error) {
      if (db.inTransaction) prepare('ROLLBACK').run()
      throw error
    }
  }

  function flush(): void {
    scheduled = false
    const group = waiting.slice(0, MAX_GROUP)
    waiting = waiting.slice(MAX_GROUP)
    let outcomes: (() => void)[]
    try {
      outcomes = commitGroup(group)
    } catch (error) {
      const canRetry = isBusy(error) && !closed
      const now = performance.now()
      const retried = canRetry ? group.filter((batch) => now - batch.since < BUSY_TIMEOUT_MS) : []
      for (const batch of group) if (!retried.includes(batch)) batch.reject(translate(error))
      waiting = [...retried, ...waiting]
      if (waiting.length > 0) schedule(retried.length > 0 ? RETRY_MS : 0)
      return
    }
    for (const settle of outcomes) settle()
    if (waiting.length > 0) schedule(0)
  }

  function schedule(delay: number): void {
    if (scheduled) return
    scheduled = true
    if (delay === 0) setImmediate(flush)
    else setTimeout(flush, delay)
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

    batch(steps) {
      return new Promise((resolve, reject) => {
        if (closed) throw new StoreUnavailable(new Error('the store is closed'))
        waiting.push({ steps, since: performance.now(), resolve, reject })
        schedule(0)
      })
    },

    async scrub() {
      if (closed) throw new StoreUnavailable(new Error('the store is closed'))
      assertSameFiles()
      return scrubFile(db)
    },

    async close() {
      if (closed) return
      closed = true
      integrityCheck?.stop()
      while (waiting.length > 0) flush()
      db.close()
    },
  }
}

/** For better-sqlite3, `$1` is a parameter with the name `1`. */
export function bind(params: readonly Param[] = []): Record<string, Param> {
  const named: Record<string, Param> = {}
  for (let i = 0; i < params.length; i += 1) named[i + 1] = params[i] as Param
  return named
}

const isConstraint = (error: unknown): boolean => codeOf(error).startsWith('SQLITE_CONSTRAINT')

/** Errors of the file system and of locks mean that the store is unavailable. A mistake in the SQL is thrown unchanged. */
const isUnavailable = (error: unknown): boolean =>
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB|NOMEM|PROTOCOL)/.test(codeOf(error))

function translate(error: unknown): unknown {
  if (isDamage(error)) return new StoreDamaged(error)
  return isUnavailable(error) ? new StoreUnavailable(error) : error
}
