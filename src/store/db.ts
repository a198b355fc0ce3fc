/**
 * The database as the rest of the code sees it: two verbs, `query` and `batch`. Must not know any table. An engine implements
 * `Db` and nothing else; `store/index.ts` chooses the engine.
 */
import { commandLine } from '../command-line.ts'
import { KeyturnError } from '../errors.ts'

export type Param = string | number | null

export interface Step {
  readonly sql: string
  readonly params?: readonly Param[]
  /**
   * How many rows the step must change. With any other number, the whole batch is rolled back and returns false. The step is an INSERT,
   * UPDATE or DELETE without RETURNING.
   */
  readonly expectRows?: number
  /**
   * The step is a SELECT without `expectRows`: the rows that it finds are locked until the end of the batch. Needed by a batch
   * whose condition is about a row that it does not write. `share`: other batches may hold the same lock, none may change the
   * rows. An engine that runs one batch at a time skips the step.
   */
  readonly lock?: true | 'share'
  /**
   * The step is `UPDATE table SET … WHERE key = $1 AND …` without OR, and expects one row. It changes no column of a key or of a foreign
   * key. An engine may carry out several such batches of one step with one statement.
   */
  readonly row?: RowKey
  /** Notifies the listeners of all processes (`Db.changes`) when the batch is committed. */
  readonly notify?: true
}

export interface RowKey {
  readonly table: string
  /** A column with unique values. */
  readonly key: string
}

export interface BatchOptions {
  /** Disables the statement timeout, for migrations. */
  readonly noTimeout?: boolean
}

/**
 * Both verbs take portable SQL with `$1`, `$2` … There is no transaction object: on a single connection, a transaction that stays
 * open across an `await` would include the writes of other requests, and roll them back with its own.
 */
export interface Db {
  /**
   * Runs one statement that only reads.
   * @param key the column of the answer with the value that the statement looks for, a text. Given if the statement says `IN ($1)` once,
   *   and has no other parameter and no LIMIT. An engine may answer several such queries with one statement, and those with equal values
   *   with the same rows, so callers must not change them.
   */
  query<Row = Record<string, unknown>>(sql: string, params?: readonly Param[], key?: string): Promise<Row[]>

  /**
   * Runs all steps or none. The changes are flushed to disk when the promise resolves. Returns false, and changes nothing, if a
   * step did not change the number of rows that it must change.
   * @throws {ConstraintViolation} if a key is taken or a referenced row does not exist; nothing has changed
   * @throws {StoreUnavailable} if the store is locked, full, read-only or unreachable
   */
  batch(steps: readonly Step[], options?: BatchOptions): Promise<boolean>

  /** Present only if the engine has a pool of connections. */
  pool?(): PoolState

  /** Present only if the engine can notify other processes. A notification may be lost, so listeners must also poll. */
  changes?(listener: ChangeListener): Changes

  /**
   * A text that has changed if any process has committed a change. It costs no query. Present only if the engine can tell; undefined
   * if it cannot tell now. What is read after the call is at least as new as the text.
   */
  version?(): string | undefined

  /** Milliseconds since 1970 by the clock of the database server. Present only if several machines can share the engine. */
  time?(): Promise<number>

  /**
   * Overwrites what deleted rows have left in the files of the database. Present only if the engine can do so while it is in use.
   * Returns false if it did not, because the database is too large to be copied in passing, or other processes use it all the time.
   */
  scrub?(): Promise<boolean>

  /**
   * Present only if the engine checks the integrity of the database in the background. Rejects with {@link StoreDamaged} if the
   * database is damaged.
   */
  readonly integrityChecked?: Promise<void>

  close(): Promise<void>
}

export interface ChangeListener {
  /** A batch with a `notify` step may have been committed. Also called whenever listening starts, for earlier changes. */
  onChange(): void
  /** Called once for each change of state, with the error that caused it. */
  onStateChange(state: ListenState, cause?: unknown): void
}

/**
 * `lost`: the connection was lost and will soon be opened again. `unsupported`: the server, or a pooler in front of it, does not
 * deliver notifications.
 */
export type ListenState = 'listening' | 'lost' | 'unsupported'

export interface Changes {
  stop(): Promise<void>
}

interface PoolState {
  /** The highest number of connections. */
  readonly max: number
  readonly idle: number
  readonly busy: number
  /** Statements and transactions that wait for a connection. */
  readonly waiting: number
  /** Whether notifications are received, on a connection outside the pool. */
  readonly listening: boolean
}

/** A store whose queries all see the state of one moment. */
export interface Reader extends Pick<Db, 'query' | 'close'> {}

/** A primary or unique key is taken, or a referenced row does not exist. */
export class ConstraintViolation extends KeyturnError<'constraint_violation'> {
  constructor(cause: unknown) {
    super('constraint_violation', 'a constraint of the store was violated', { cause })
  }
}

/** Returns false instead of throwing a ConstraintViolation, for inserts where a conflict is an ordinary outcome. */
export async function falseOnConflict(outcome: Promise<boolean>): Promise<boolean> {
  try {
    return await outcome
  } catch (error) {
    if (error instanceof ConstraintViolation) return false
    throw error
  }
}

/**
 * The store cannot answer now; the caller may try again after `retryAfter` seconds. Nothing was changed, with one exception: if
 * the connection was lost during a commit, the change may have been made, and only another attempt can tell.
 */
export class StoreUnavailable extends KeyturnError<'store_unavailable' | 'store_damaged'> {
  readonly retryAfter: number
  constructor(cause: unknown, retryAfter = 1, { code = 'store_unavailable', hint }: Unavailability = {}) {
    const detail = cause instanceof Error ? cause.message : undefined
    super(code, 'the store is not available', { cause, detail, hint })
    this.retryAfter = retryAfter
  }
}

interface Unavailability {
  readonly code?: StoreUnavailable['code']
  readonly hint?: string
}

/** No engine repairs damage without losing rows. */
export const RESTORE_HINT = 'restore a backup'

/** The engine found damage in the database. Queries that read only intact pages still succeed. */
export class StoreDamaged extends StoreUnavailable {
  constructor(cause: unknown) {
    super(cause, 1, { code: 'store_damaged', hint: RESTORE_HINT })
  }
}

/** The store was opened but cannot be used: it is newer than the program, damaged, or empty. */
export class StoreUnusable extends KeyturnError<'store_unusable'> {
  constructor(message: string, cause?: unknown, hint?: string) {
    super('store_unusable', message, { cause, hint })
  }
}

/** There is no store at the configured place. Only `serve` and `demo` create one: absence may be a disk that is not mounted. */
export class StoreMissing extends KeyturnError<'store_missing'> {
  constructor(name: string, hint = `${commandLine('serve')} creates one`) {
    super('store_missing', `no database at ${name}`, { hint })
  }
}
