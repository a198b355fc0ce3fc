/**
 * What an administrator can do: one interface for each aggregate, in plain values with the names of the JSON that commands print
 * and the API sends. `local.ts` implements it on the store, `remote.ts` on the HTTP API; commands cannot tell which. A verb owns
 * validation, consequences, the compare-and-swap on the revision, and the audit event. Must not know a terminal, HTTP or HTML.
 * A new verb is a member of an interface in `admin/<aggregate>.ts`, its local implementation in the same file, and a route with
 * its schema in `http/admin/`, which remote.ts calls.
 */
import type { RolesAdmin } from './roles.ts'

export interface Admin {
  readonly roles: RolesAdmin
}

/** A resource as it is now. */
export interface Found<T> {
  readonly value: T
  /** Grows with every change; what `If-Match` compares. null for what has no revision. */
  readonly revision: number | null
}

/** A resource after a change. */
export interface Changed<T> extends Found<T> {
  /** What follows from the change, one sentence each, for the person who made it. */
  readonly notes: readonly string[]
}

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
