/**
 * The database as everything above sees it: two verbs. Must not know: any table. An engine implements this
 * file and nothing else; `store/index.ts` has the line that chooses it.
 */
import { KeyturnError } from '../errors.ts'

export type Param = string | number | null

export interface Step {
  readonly sql: string
  readonly params?: readonly Param[]
  /** How many rows this step must touch; otherwise the whole batch is undone and answers false. */
  readonly expectRows?: number
  /**
   * A SELECT without `rows`: what it finds stays as it is until the batch has ended. For a batch whose condition is about
   * a row that it does not write. Where batches come one after the other anyway, it is left out.
   */
  readonly lock?: true
  /** Running servers follow what this step changes: who listens (`Db.changes`) hears of the batch when it is committed. */
  readonly notify?: true
}

export interface BatchOptions {
  /** May take as long as it takes: for migrations. */
  readonly noTimeout?: boolean
}

/**
 * Both verbs take portable SQL with `$1`, `$2` … There is no transaction object: one that stayed open across
 * an `await` would, on a single connection, swallow another request's write and undo it with its own.
 */
export interface Db {
  /** A single reading statement. */
  query<Row = Record<string, unknown>>(sql: string, params?: readonly Param[]): Promise<Row[]>

  /**
   * All steps or none, durable (flushed to disk) when the promise resolves.
   * False if a step touched another number of rows than it must, and then nothing has changed.
   * @throws {ConstraintViolation} if a key was taken (nothing has changed)
   * @throws {StoreUnavailable} if the store cannot do it now: locked, full, read-only, gone
   */
  batch(steps: readonly Step[], options?: BatchOptions): Promise<boolean>

  /** Only of an engine that has connections to share. */
  pool?(): PoolState

  /** Only of an engine that can tell others at once. Whoever listens looks from time to time all the same. */
  changes?(listener: ChangeListener): Changes

  /** Milliseconds since 1970 by its own clock. Only of an engine that several machines share: they go by it. */
  time?(): Promise<number>

  /**
   * Only of an engine that serves already while it still looks whether it is whole.
   * Rejects with {@link StoreDamaged} if it is not.
   */
  readonly integrityChecked?: Promise<void>

  close(): Promise<void>
}

export interface ChangeListener {
  /** Something that was announced may have changed; also said whenever listening begins, for what came before. */
  onChange(): void
  /** Said once each time that it changes. */
  onStateChange(hearing: ListenState, why?: unknown): void
}

/** `lost`: tried again soon. `unable`: the server, or what stands before it, does not pass anything on. */
export type ListenState = 'listening' | 'lost' | 'unable'

export interface Changes {
  stop(): Promise<void>
}

export interface PoolState {
  /** Connections at most. */
  readonly max: number
  readonly idle: number
  readonly busy: number
  /** Requests that wait for one. */
  readonly waiting: number
  /** Whether changes of others are heard of, on a connection beside these. */
  readonly listening: boolean
}

/** A store of which all answers are of one moment. */
export interface Reader extends Pick<Db, 'query' | 'close'> {}

/** A primary or unique key was already taken, or a row that is referred to does not exist. */
export class ConstraintViolation extends KeyturnError<'constraint_violation'> {
  constructor(cause: unknown) {
    super('constraint_violation', 'a constraint of the store was violated', { cause })
  }
}

/** False where a key was taken: for whoever makes a row that another may have made first. */
export async function falseOnConflict(outcome: Promise<boolean>): Promise<boolean> {
  try {
    return await outcome
  } catch (error) {
    if (error instanceof ConstraintViolation) return false
    throw error
  }
}

/**
 * The store cannot answer now; the caller may try again after `retryAfter` seconds. Nothing was changed, unless the
 * connection was lost while the change was being committed: then nobody knows, and whoever tries again finds out.
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

/** What an operator does about damage: no engine repairs it without losing rows. */
export const RESTORE_HINT = 'restore a backup'

/** The store found damage in itself. Queries that touch only sound pages still succeed; the damage stays. */
export class StoreDamaged extends StoreUnavailable {
  constructor(cause: unknown) {
    super(cause, 1, { code: 'store_damaged', hint: RESTORE_HINT })
  }
}

/** The store was opened and cannot be used: newer than the program, damaged, or empty. */
export class StoreUnusable extends KeyturnError<'store_unusable'> {
  constructor(message: string, cause?: unknown, hint?: string) {
    super('store_unusable', message, { cause, hint })
  }
}
