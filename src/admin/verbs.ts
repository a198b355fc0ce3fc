/** What all verbs of administration have in common: their results, and what their callers may require. */

/** A resource as it is now. */
export interface Found<T> {
  readonly value: T
  /** Grows with every change; what `If-Match` compares. null for what has no revision. */
  readonly revision: number | null
}

/** A result with what a person should know about it, one sentence each. */
export interface Noted<T> extends Found<T> {
  readonly notes: readonly string[]
}

/** A resource after a change. The notes say what follows from the change. */
export type Changed<T> = Noted<T>

/** Part of a list. */
export interface Page<T> {
  readonly items: readonly T[]
  /** Where the next part begins; null at the end. */
  readonly next_cursor: string | null
}

export interface PageQuery {
  /** At most this many items. Default: 100. */
  readonly limit?: number | undefined
  /** `next_cursor` of the part before. */
  readonly cursor?: string | undefined
  /** Only items whose name or id contains this text; case does not matter. */
  readonly search?: string | undefined
}

/** What must be true of the resource when it is changed. */
export interface Condition {
  /** The change applies only to this revision. @see {AdminError} precondition-failed */
  readonly ifMatch?: number | undefined
}

export interface ScopeChoice {
  /** Also accept scopes that no API has. */
  readonly allowUnowned?: boolean | undefined
}

/** For changes that are usually mistakes. */
export interface Force {
  /** Do it although it locks somebody out. @see {AdminError} force-needed */
  readonly force?: boolean | undefined
}
