/** An embedded database as a whole: copied, examined, held against everybody else. Must not know any table. */
import { existsSync } from 'node:fs'
import Database from 'better-sqlite3'
import { type Param, RESTORE_HINT, type Reader, StoreUnavailable, StoreUnusable } from '../db.ts'
import { isBusy, isDamage, openFile } from './file.ts'
import { bind } from './sqlite.ts'

const PATIENCE_MS = 2000

/**
 * Copies the database as it is at one moment, whoever writes meanwhile, into `empty`. SQLite's backup API would begin
 * again with each write of another process, and never end under load; this reads one snapshot, and leaves out pages
 * that are free.
 * @throws {StoreUnusable} if the source is damaged
 */
export function copyDatabase(file: string, empty: string): void {
  const db = openFile(file, {})
  try {
    db.prepare('VACUUM INTO ?').run(empty)
  } catch (error) {
    if (!isDamage(error)) throw error
    const message = `the database ${file} is damaged (${(error as Error).message})`
    throw new StoreUnusable(message, error, RESTORE_HINT)
  } finally {
    db.close()
  }
}

/** @throws {StoreUnusable} if a page, an index or a reference between tables is not as it must be */
export function assertIntegrity(file: string, name: string): void {
  let db: Database.Database | undefined
  let found: unknown
  try {
    db = new Database(file, { fileMustExist: true })
    found = db.pragma('integrity_check(1)', { simple: true })
    if (found === 'ok' && (db.pragma('foreign_key_check') as unknown[]).length > 0)
      found = 'broken references'
  } catch (error) {
    throw new StoreUnusable(`${name} is damaged, or no database at all`, error)
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

/** Leaves the file as it is, its mode of journalling included. */
export const openCopy = (file: string): Reader =>
  createReader(new Database(file, { readonly: true, fileMustExist: true }))

/**
 * Keeps everybody else from the database until it is closed; nothing may be written meanwhile. SQLite lets nobody
 * leave the write-ahead log while another connection is open, even an idle one, so this finds every running server.
 * @throws {StoreUnavailable} if somebody has it open
 * @throws {StoreUnusable} if it is damaged so that SQLite cannot tell
 */
export function openFileExclusive(file: string): Reader {
  const db = new Database(file, { timeout: PATIENCE_MS, fileMustExist: true })
  try {
    db.pragma('locking_mode = EXCLUSIVE')
    db.pragma('journal_mode = MEMORY')
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if (isBusy(error)) {
      throw new StoreUnavailable(new Error(`${file} is in use: stop the server, and other commands, first`))
    }
    throw new StoreUnusable(`${file} is damaged, or no database at all`, error)
  }
  return createReader(db)
}

/** What SQLite may have left beside a database. */
export const sideFiles = (file: string): string[] =>
  ['-wal', '-shm', '-journal'].map((end) => file + end).filter((name) => existsSync(name))
