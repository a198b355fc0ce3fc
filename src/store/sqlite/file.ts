/**
 * The embedded database as a file: creates it, opens it, and notices when it is replaced. Must not know any table, or how
 * statements are grouped.
 */

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type Database from 'better-sqlite3'
import { commandLine } from '../../command-line.ts'
import { RESTORE_HINT, StoreMissing, StoreUnavailable, StoreUnusable } from '../db.ts'
import { connect, openedFile, wholePath } from './connect.ts'
import { checkIntegrity, LARGE_BYTES } from './integrity-check.ts'

/** How long a call may block the event loop while another process writes. */
const BLOCKING_TIMEOUT_MS = 20
const OPEN_TIMEOUT_MS = 2000
/** The size of the header. SQLite would treat an empty file, or a file of one byte, as a new database. */
const HEADER_BYTES = 100

export interface SqliteOptions {
  /** Whether to create the file if it does not exist. Otherwise {@link StoreMissing} is thrown. */
  readonly create?: boolean
  /** Whether to read every page, so that damage is found at the start and not by the first request that needs the page. */
  readonly integrityCheck?: boolean
  /** A file of this size or more is checked while the server already serves, because the check would delay the start. */
  readonly largeFromBytes?: number
  /** Set for a server: on a slow disk, a thread of its own writes (writer.ts). */
  readonly writer?: WriterOptions
}

interface WriterOptions {
  /** The thread has ended by itself. */
  readonly onEnd: (error: unknown) => void
  /** Milliseconds by which each commit is delayed, for crash tests and benchmarks of slow disks. */
  readonly flushDelay?: number
}

/**
 * @throws {StoreMissing} if there is no file, unless `create` is set
 * @throws {StoreUnusable} if the file is not a database, is damaged, or cannot be created
 */
export function openFile(
  name: string,
  { create = false, integrityCheck = false, largeFromBytes = LARGE_BYTES }: SqliteOptions,
): Database.Database {
  const file = wholePath(name)
  if (file !== ':memory:') prepareFile(file, create)
  let db: Database.Database | undefined
  try {
    // SQLite would silently open the file read-only, and leave side files behind that no one can write.
    if (file !== ':memory:') accessSync(file, constants.R_OK | constants.W_OK)
    const identity = identityOf([file])
    // A long timeout: no request waits yet, and another process may be closing or recovering the database.
    db = connect(file, { timeout: OPEN_TIMEOUT_MS, fileMustExist: true })
    db.pragma('journal_mode = WAL')
    // better-sqlite3 defaults to NORMAL in WAL mode, where a power failure may undo a commit that was answered: a revoked
    // token would be valid again.
    db.pragma('synchronous = FULL')
    // Deleted content, such as a private key, is overwritten with zeros.
    db.pragma('secure_delete = ON')
    db.pragma('foreign_keys = ON')
    db.pragma('trusted_schema = OFF')
    // A copy may have had another journal mode. The first read creates the log, whose identity is checked from now on.
    db.pragma('schema_version')
    // While this process waited for the lock, a restore may have replaced the file. The name is the one that SQLite reports, so that
    // the file that was checked is the one that is open.
    if (file !== ':memory:' && identityOf([openedFile(db)]) !== identity) throw replaced(file)
    if (integrityCheck && !isLarge(file, largeFromBytes)) checkIntegrity(db)
    db.pragma(`busy_timeout = ${BLOCKING_TIMEOUT_MS}`)
    return db
  } catch (error) {
    db?.close()
    if (error instanceof StoreUnavailable) throw error
    if (isBusy(error)) throw new StoreUnavailable(error)
    const message = `the database ${file} cannot be opened: ${(error as Error).message}`
    throw new StoreUnusable(message, error, isDamage(error) ? RESTORE_HINT : undefined)
  }
}

export const isLarge = (file: string, largeFromBytes = LARGE_BYTES): boolean =>
  file !== ':memory:' && statSync(file).size >= largeFromBytes

/** Reads rely on a check of the files' identity that is at most this old; writes always check. */
const IDENTITY_MAX_AGE_MS = 100

/**
 * SQLite continues to use files that were deleted or replaced, and every commit would be lost when the process ends. So this
 * checks that the names still refer to the files that were opened.
 */
export function createIdentityCheck(
  file: string,
  opened: string = openedFiles(file),
): (options?: { readonly recentIsEnough: boolean }) => void {
  const names = filesOf(file)
  let checkedAt = performance.now()
  return ({ recentIsEnough } = { recentIsEnough: false }) => {
    const now = performance.now()
    if (recentIsEnough && now - checkedAt < IDENTITY_MAX_AGE_MS) return
    if (identityOf(names) !== opened) {
      throw replaced(file)
    }
    checkedAt = now
  }
}

/** Identifies the files of an open database, so that another connection can check that it has opened the same ones. */
export const openedFiles = (file: string): string => identityOf(filesOf(file))

const filesOf = (file: string): string[] => [file, `${realpathSync(file)}-wal`]

const replaced = (file: string): StoreUnavailable =>
  new StoreUnavailable(new Error(`${file} was deleted or replaced while it was in use`))

function identityOf(names: readonly string[]): string {
  const files = names.map((name) => statSync(name, { throwIfNoEntry: false }))
  return files.map((stat) => (stat ? `${stat.dev}:${stat.ino}` : 'none')).join(' ')
}

/**
 * A new database is created under another name, readable only by its owner, and linked into place once its header is written. So
 * an interrupted start never leaves an empty file: an empty file was a database before, and is refused.
 */
function prepareFile(file: string, mayCreate: boolean): void {
  if (mayCreate) {
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      if (!existsSync(file)) createFile(file)
    } catch (error) {
      throw new StoreUnusable(`the database ${file} cannot be created: ${(error as Error).message}`, error)
    }
  }
  const size = sizeOf(file)
  if (size === null && mayCreate)
    throw new StoreUnusable(
      `the database ${file} cannot be created: it is a link to a file that does not exist`,
    )
  if (size === null) throw new StoreMissing(resolve(file))
  if (size >= HEADER_BYTES) return
  throw new StoreUnusable(
    `the database ${file} is empty or cut off: restore a backup, or delete it and start with ${commandLine('serve --new')}`,
  )
}

function sizeOf(file: string): number | null {
  try {
    return statSync(file, { throwIfNoEntry: false })?.size ?? null
  } catch (error) {
    throw new StoreUnusable(`the database ${file} cannot be opened: ${(error as Error).message}`, error)
  }
}

function createFile(file: string): void {
  // A folder with a random name: process ids are not unique if containers share a volume.
  const folder = mkdtempSync(`${file}.new-`)
  try {
    const draft = join(folder, 'draft')
    closeSync(openSync(draft, 'wx', 0o600))
    const db = connect(draft)
    db.pragma('journal_mode = WAL')
    db.close()
    linkSync(draft, file)
  } catch (error) {
    // Another process was first; this process uses that database.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const codeOf = (error: unknown): string => (error as { code?: string }).code ?? ''

export const isBusy = (error: unknown): boolean => /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error))

export const isDamage = (error: unknown): boolean => /^SQLITE_(CORRUPT|NOTADB)/.test(codeOf(error))
