/**
 * The embedded database as a file: how it comes into being, what is refused, and whether it is still the same.
 * Must not know: any table, or how statements are grouped.
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
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { RESTORE_HINT, StoreUnavailable, StoreUnusable } from '../db.ts'
import { checkIntegrity, LARGE_BYTES } from './integrity-check.ts'

/** How long a call may block the event loop waiting for another process's write. */
const BUSY_TIMEOUT_MS = 20
const OPEN_PATIENCE_MS = 2000
/** SQLite takes a file of one byte for a new database, too. */
const HEADER_BYTES = 100

export interface SqliteOptions {
  /** Look at every page: what is damaged shall be refused now, or reported soon, not when somebody asks for it. */
  readonly integrityCheck?: boolean
  /** Bytes from which on a file is looked at beside serving, because it would delay the start. */
  readonly largeFromBytes?: number
}

/** @throws {StoreUnusable} if it is no database, damaged, or cannot be made */
export function openFile(
  file: string,
  { integrityCheck = false, largeFromBytes = LARGE_BYTES }: SqliteOptions,
): Database.Database {
  if (file !== ':memory:') prepareFile(file)
  let db: Database.Database | undefined
  try {
    // SQLite would fall back to reading, and leave side files behind that nobody can write.
    if (file !== ':memory:') accessSync(file, constants.R_OK | constants.W_OK)
    const before = identityOf([file])
    // Nobody waits for this process yet, and another one may be closing the database or recovering it.
    db = new Database(file, { timeout: OPEN_PATIENCE_MS })
    db.pragma('journal_mode = WAL')
    // better-sqlite3's build defaults to NORMAL in WAL mode, where a power cut may take back an answered
    // commit: a revoked token would be good again.
    db.pragma('synchronous = FULL')
    // What is erased, such as the private half of a key, is overwritten and not only forgotten.
    db.pragma('secure_delete = ON')
    db.pragma('foreign_keys = ON')
    db.pragma('trusted_schema = OFF')
    // A copy may have been in another mode; only the first look makes its log, whose identity is watched from now on.
    db.pragma('schema_version')
    // A restore may have put another file under this name while we waited for its lock.
    if (file !== ':memory:' && identityOf([file]) !== before) throw replaced(file)
    if (integrityCheck && !isLarge(file, largeFromBytes)) checkIntegrity(db)
    db.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
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

/** How long a look at the files' identity is good for those who only read. */
const LATELY_MS = 100

/**
 * SQLite goes on reading and writing files that were deleted or replaced under it, and every commit would be lost
 * with the process. So the names must still lead to the files that were opened.
 */
export function createIdentityCheck(file: string): (options?: { readonly lately: boolean }) => void {
  const names = [file, `${realpathSync(file)}-wal`]
  const opened = identityOf(names)
  let seenAt = performance.now()
  return ({ lately } = { lately: false }) => {
    const now = performance.now()
    if (lately && now - seenAt < LATELY_MS) return
    if (identityOf(names) !== opened) {
      throw replaced(file)
    }
    seenAt = now
  }
}

const replaced = (file: string): StoreUnavailable =>
  new StoreUnavailable(new Error(`${file} was deleted or replaced while it was in use`))

function identityOf(names: readonly string[]): string {
  const files = names.map((name) => statSync(name, { throwIfNoEntry: false }))
  return files.map((stat) => (stat ? `${stat.dev}:${stat.ino}` : 'none')).join(' ')
}

/**
 * A new database is made under another name and linked into place with its header written, readable by nobody
 * else. So an empty file is never a start that was interrupted: it was once a database, and is refused.
 */
function prepareFile(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    if (!existsSync(file)) create(file)
    if (statSync(file).size >= HEADER_BYTES) return
  } catch (error) {
    throw new StoreUnusable(`the database ${file} cannot be made: ${(error as Error).message}`, error)
  }
  throw new StoreUnusable(
    `the database ${file} is empty or cut off: restore a backup, or delete it to begin anew`,
  )
}

function create(file: string): void {
  // A folder of its own: a process id is no unique name where containers share a volume.
  const folder = mkdtempSync(`${file}.new-`)
  try {
    const draft = join(folder, 'draft')
    closeSync(openSync(draft, 'wx', 0o600))
    const db = new Database(draft)
    db.pragma('journal_mode = WAL')
    db.close()
    linkSync(draft, file)
  } catch (error) {
    // Another process was first; its database is as good as ours.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const codeOf = (error: unknown): string => (error as { code?: string }).code ?? ''

export const isBusy = (error: unknown): boolean => /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error))

export const isDamage = (error: unknown): boolean => /^SQLITE_(CORRUPT|NOTADB)/.test(codeOf(error))
