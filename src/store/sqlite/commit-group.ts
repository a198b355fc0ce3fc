/**
 * Commits several batches together on one connection, each under its own savepoint: fifty concurrent refreshes cost one flush, and each
 * still succeeds or fails independently. Must not know on which thread it runs, or any table.
 */
import type Database from 'better-sqlite3'
import type { Param, Step } from '../db.ts'
import { codeOf } from './file.ts'

/** true: committed; false: a step did not change the number of rows that it must change. */
export type Outcome = boolean | { readonly error: unknown }

/** @throws an error that fails the whole group; nothing has changed. The failure of a single batch is its own outcome. */
export type CommitGroup = (group: readonly (readonly Step[])[]) => Outcome[]

/**
 * @param assertSameFiles throws if the files of the database were replaced
 * @param flushDelay milliseconds by which each commit is delayed, for crash tests and benchmarks of slow disks
 */
export function createCommitGroup(
  db: Database.Database,
  assertSameFiles: () => void,
  flushDelay = 0,
): CommitGroup {
  const prepare = createStatements(db)

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

  return (group) => {
    assertSameFiles()
    prepare('BEGIN IMMEDIATE').run()
    try {
      const outcomes = group.map((steps): Outcome => {
        try {
          return runUnderSavepoint(steps)
        } catch (error) {
          // If the store is unavailable, all batches of the group fail. Any other error belongs to this batch.
          if (isUnavailable(error) || !db.inTransaction) throw error
          return { error }
        }
      })
      // Before the commit, which must not be visible or acknowledged before it is flushed.
      if (flushDelay > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, flushDelay)
      prepare('COMMIT').run()
      return outcomes
    } catch (error) {
      if (db.inTransaction) prepare('ROLLBACK').run()
      throw error
    }
  }
}

/** Statements of one connection, each prepared once. The program has a fixed number of them. */
export function createStatements(db: Database.Database): (sql: string) => Database.Statement {
  const statements = new Map<string, Database.Statement>()
  return (sql) => {
    let statement = statements.get(sql)
    if (!statement) {
      statement = db.prepare(sql)
      statements.set(sql, statement)
    }
    return statement
  }
}

/** For better-sqlite3, `$1` is a parameter with the name `1`. */
export function bind(params: readonly Param[] = []): Record<string, Param> {
  const named: Record<string, Param> = {}
  for (let i = 0; i < params.length; i += 1) named[i + 1] = params[i] as Param
  return named
}

/** Errors of the file system and of locks mean that the store is unavailable. A mistake in the SQL does not. */
export const isUnavailable = (error: unknown): boolean =>
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB|NOMEM|PROTOCOL)/.test(codeOf(error))
