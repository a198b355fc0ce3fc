/**
 * The embedded engine. Must not know: any table.
 *
 * Durability costs one flush to disk a commit, and that flush would be paid on the event loop by each request
 * in turn. So batches that arrive in the same turn of the loop are committed together, each under a savepoint
 * of its own: fifty concurrent refreshes cost one flush, and still each succeeds or fails alone.
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

/** How long a batch waits for its turn altogether, off the event loop. */
export const BUSY_TIMEOUT_MS = 2000
const RETRY_MS = 25
/** More savepoints than this in one transaction would only make a failed commit more expensive. */
const GROUP = 256
interface Waiting {
  readonly steps: readonly Step[]
  readonly since: number
  resolve(committed: boolean): void
  reject(error: unknown): void
}

export function openSqlite(file: string, options: SqliteOptions = {}): Db {
  const db = openFile(file, options)
  const assertOurs = file === ':memory:' ? () => {} : createIdentityCheck(file)
  const examination =
    options.integrityCheck && isLarge(file, options.largeFromBytes) ? startIntegrityCheck(file) : undefined
  const statements = new Map<string, Database.Statement>()
  let waiting: Waiting[] = []
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
    let kept = false
    try {
      kept = run(steps)
    } finally {
      // On a full disk SQLite may have ended the transaction by itself, and the savepoint with it.
      if (db.inTransaction) {
        if (!kept) prepare('ROLLBACK TO one').run()
        prepare('RELEASE one').run()
      }
    }
    return kept
  }

  /** @throws what makes the whole group fail; a single batch's own failure is its own outcome. */
  function commitGroup(group: readonly Waiting[]): (() => void)[] {
    assertOurs()
    prepare('BEGIN IMMEDIATE').run()
    try {
      const outcomes = group.map((batch) => {
        try {
          const kept = runUnderSavepoint(batch.steps)
          return () => batch.resolve(kept)
        } catch (error) {
          // What ails the store ails all of them; anything else is this batch's own mistake.
          if (isTrouble(error) || !db.inTransaction) throw error
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
    const group = waiting.slice(0, GROUP)
    waiting = waiting.slice(GROUP)
    let outcomes: (() => void)[]
    try {
      outcomes = commitGroup(group)
    } catch (error) {
      const patient = isBusy(error) && !closed
      const now = performance.now()
      const again = patient ? group.filter((batch) => now - batch.since < BUSY_TIMEOUT_MS) : []
      for (const batch of group) if (!again.includes(batch)) batch.reject(translate(error))
      waiting = [...again, ...waiting]
      if (waiting.length > 0) schedule(again.length > 0 ? RETRY_MS : 0)
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
    ...(examination ? { integrityChecked: examination.done } : {}),

    async query<Row>(sql: string, params: readonly Param[] = []) {
      const deadline = performance.now() + BUSY_TIMEOUT_MS
      for (;;) {
        if (closed) throw new StoreUnavailable(new Error('the store is closed'))
        try {
          assertOurs({ lately: true })
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

    async close() {
      if (closed) return
      closed = true
      examination?.stop()
      while (waiting.length > 0) flush()
      db.close()
    },
  }
}

/** better-sqlite3 takes `$1` as a parameter named `1`. */
export function bind(params: readonly Param[] = []): Record<string, Param> {
  const named: Record<string, Param> = {}
  for (let i = 0; i < params.length; i += 1) named[i + 1] = params[i] as Param
  return named
}

const isConstraint = (error: unknown): boolean => codeOf(error).startsWith('SQLITE_CONSTRAINT')

/** Whatever the file system or the lock does to us is "not now"; a mistake in our SQL stays what it is. */
const isTrouble = (error: unknown): boolean =>
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB|NOMEM|PROTOCOL)/.test(codeOf(error))

function translate(error: unknown): unknown {
  if (isDamage(error)) return new StoreDamaged(error)
  return isTrouble(error) ? new StoreUnavailable(error) : error
}
