/** Copies an embedded database, checks its integrity, and opens it exclusively. Must not know any table. */
import { existsSync } from 'node:fs'
import type Database from 'better-sqlite3'
import { type Param, RESTORE_HINT, type Reader, StoreUnavailable, StoreUnusable } from '../db.ts'
import { bind } from './commit-group.ts'
import { connect } from './connect.ts'
import { isBusy, isDamage, openFile } from './file.ts'

const LOCK_TIMEOUT_MS = 2000

/**
 * Copies the state of one moment into the empty file `target`, while other processes may write. SQLite's backup API starts over with
 * each write of another process and would never finish under load. `VACUUM INTO` reads one snapshot and omits free pages.
 * @throws {StoreUnusable} if the source is damaged
 */
export function copyDatabase(file: string, target: string): void {
  const db = openFile(file, {})
  try {
    db.prepare('VACUUM INTO ?').run(target)
  } catch (error) {
    if (!isDamage(error)) throw error
    const message = `the database ${file} is damaged (${(error as Error).message})`
    throw new StoreUnusable(message, error, RESTORE_HINT)
  } finally {
    db.close()
  }
}

/** @throws {StoreUnusable} if a page, an index or a foreign key is broken */
export function assertIntegrity(file: string, name: string): void {
  let db: Database.Database | undefined
  let found: unknown
  try {
    db = connect(file, { fileMustExist: true })
    found = db.pragma('integrity_check(1)', { simple: true })
    if (found === 'ok' && (db.pragma('foreign_key_check') as unknown[]).length > 0)
      found = 'broken references'
  } catch (error) {
    throw new StoreUnusable(`${name} is damaged or not a database`, error)
  } finally {
    db?.close()
  }
  if (found !== 'ok') throw new StoreUnusable(`${name} is damaged (${String(found).trim()})`)
}

function createReader(db: Database.Database): Reader {
  return {
    async query<Row>(sql: string, params: readonly Param[] = []) {
      return db.prepare(sql).all(bind(params)) as Row[]
    },
    async close() {
      if (db.inTransaction) db.exec('ROLLBACK')
      db.close()
    },
  }
}

/** Does not change the file, not even its journal mode. */
export const openCopy = (file: string): Reader =>
  createReader(connect(file, { readonly: true, fileMustExist: true }))

/**
 * Opens the database for reading and keeps all other processes out until it is closed. SQLite refuses to leave the write-ahead
 * log while another connection is open, even an idle one, so a running server is always noticed.
 * @throws {StoreUnavailable} if another process has the database open
 * @throws {StoreUnusable} if the database is so damaged that SQLite cannot open it
 */
export function openFileExclusive(file: string): Reader {
  const db = connect(file, { timeout: LOCK_TIMEOUT_MS, fileMustExist: true })
  try {
    db.pragma('locking_mode = EXCLUSIVE')
    db.pragma('journal_mode = MEMORY')
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if (isBusy(error)) {
      throw new StoreUnavailable(new Error(`${file} is in use: stop the server, and other commands, first`))
    }
    throw new StoreUnusable(`${file} is damaged or not a database`, error)
  }
  return createReader(db)
}

/** Files that SQLite may have left beside a database. */
export const sideFiles = (file: string): string[] =>
  ['-wal', '-shm', '-journal'].map((end) => file + end).filter((name) => existsSync(name))
