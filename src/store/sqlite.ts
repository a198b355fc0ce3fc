/**
 * The embedded engine. Must not know: any table.
 *
 * Durability costs one flush to disk a commit, and that flush would be paid on the event loop by each request
 * in turn. So batches that arrive in the same turn of the loop are committed together, each under a savepoint
 * of its own: fifty concurrent refreshes cost one flush, and still each succeeds or fails alone.
 */
import { closeSync, existsSync, linkSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { ConstraintViolation, type Db, type Param, type Step, StoreUnavailable, StoreUnusable } from './db.ts'

/** How long a call may block the event loop waiting for another process's write. */
const BUSY_TIMEOUT_MS = 20
/** How long a batch waits for its turn altogether, off the event loop. */
const BUSY_PATIENCE_MS = 2000
const RETRY_MS = 25
/** More savepoints than this in one transaction would only make a failed commit more expensive. */
const GROUP = 256
/** SQLite takes a file of one byte for a new database, too. */
const HEADER_BYTES = 100

interface Waiting {
  readonly steps: readonly Step[]
  readonly since: number
  resolve(committed: boolean): void
  reject(error: unknown): void
}

export function openSqlite(file: string): Db {
  const db = open(file)
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
    for (const { sql, params, rows } of steps) {
      const { changes } = prepare(sql).run(bind(params))
      if (rows !== undefined && changes !== rows) return false
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
      const again = patient ? group.filter((batch) => now - batch.since < BUSY_PATIENCE_MS) : []
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
    async query<Row>(sql: string, params: readonly Param[] = []) {
      const deadline = performance.now() + BUSY_PATIENCE_MS
      for (;;) {
        if (closed) throw new StoreUnavailable(new Error('the store is closed'))
        try {
          return prepare(sql).all(bind(params)) as Row[]
        } catch (error) {
          if (!isBusy(error) || performance.now() > deadline) throw translate(error)
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
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
      while (waiting.length > 0) flush()
      db.close()
    },
  }
}

function open(file: string): Database.Database {
  if (file !== ':memory:') prepareFile(file)
  let db: Database.Database | undefined
  try {
    // Nobody waits for this process yet, and another one may be closing the database or recovering it.
    db = new Database(file, { timeout: BUSY_PATIENCE_MS })
    db.pragma('journal_mode = WAL')
    // better-sqlite3's build defaults to NORMAL in WAL mode, where a power cut may take back an answered
    // commit: a revoked token would be good again.
    db.pragma('synchronous = FULL')
    // What is erased, such as the private half of a key, is overwritten and not only forgotten.
    db.pragma('secure_delete = ON')
    db.pragma('foreign_keys = ON')
    db.pragma('trusted_schema = OFF')
    db.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
    return db
  } catch (error) {
    db?.close()
    if (isBusy(error)) throw new StoreUnavailable(error)
    throw new StoreUnusable(`the database ${file} cannot be opened: ${(error as Error).message}`, error)
  }
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

/** better-sqlite3 takes `$1` as a parameter named `1`. */
function bind(params: readonly Param[] = []): Record<string, Param> {
  const named: Record<string, Param> = {}
  for (let i = 0; i < params.length; i += 1) named[i + 1] = params[i] as Param
  return named
}

const codeOf = (error: unknown): string => (error as { code?: string }).code ?? ''
const isBusy = (error: unknown): boolean => /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error))
const isConstraint = (error: unknown): boolean => codeOf(error).startsWith('SQLITE_CONSTRAINT')

/** Whatever the file system or the lock does to us is "not now"; a mistake in our SQL stays what it is. */
const isTrouble = (error: unknown): boolean =>
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB|NOMEM|PROTOCOL)/.test(codeOf(error))
const translate = (error: unknown): unknown => (isTrouble(error) ? new StoreUnavailable(error) : error)
