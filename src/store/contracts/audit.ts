import type { EpochSeconds } from '../../system.ts'

/** One row of the audit log, as stored. `src/audit` gives it its meaning. */
export interface AuditRow {
  /** One more than the `seq` of the row before. */
  readonly seq: number
  /** When the first (`since`) and the last (`at`) of the row's events happened. */
  readonly since: EpochSeconds
  readonly at: EpochSeconds
  readonly event: string
  readonly actor: string | null
  readonly sub: string | null
  readonly clientId: string | null
  /** All other fields of the event, as JSON, with digests of `ip` and `target`. */
  readonly fields: string
  /** An address, and a value about a user, which can be erased; null if the row has none, or its user was deleted. */
  readonly ip: string | null
  readonly target: string | null
  /** How many events the row stands for. */
  readonly count: number
  /** Over the row and the hash of the row before. */
  readonly hash: string
}

/**
 * The ids of the users whom the values of a row are about; null if a value is not about a user. The address is that of the user who
 * acted, or else of the user whom the event is about.
 */
export function usersOf({ actor, sub, clientId }: Pick<AuditRow, 'actor' | 'sub' | 'clientId'>): {
  readonly ip: string | null
  readonly target: string | null
} {
  // The subject of a token that a client got for itself is the client (RFC 9068 §2.2).
  const user = sub === clientId ? null : sub
  return { ip: actor?.startsWith(USER_ACTOR) ? actor.slice(USER_ACTOR.length) : user, target: user }
}

export const USER_ACTOR = 'user:'

/** Where the log ends and where it begins. */
export interface AuditHead {
  /** `seq` and `hash` of the last row. */
  readonly seq: number
  readonly hash: string
  /** `seq` and `hash` of the last row that was pruned; the oldest stored row follows it. */
  readonly baseSeq: number
  readonly baseHash: string
  /** When an administrator last accepted the log as it was found; 0 if never. */
  readonly acceptedAt: EpochSeconds
  /** Over all other members, with a key that is not in the database; null until the store has a key. */
  readonly mac: string | null
}

interface AuditState {
  /** null only if the head was deleted by hand. */
  readonly head: AuditHead | null
  /** The lowest stored `seq`; null if there are no rows. */
  readonly firstSeq: number | null
  /** The highest stored `seq`; 0 if there are no rows. */
  readonly lastSeq: number
}

export interface AuditFilter {
  /** The earliest `at`, inclusive. */
  readonly since?: EpochSeconds
  /** The latest `at`, exclusive. */
  readonly until?: EpochSeconds
  /** Id of the user whom the event is about, or who caused it. */
  readonly userId?: string
  /** Id of the client that the event is about, or that caused it. */
  readonly clientId?: string
  readonly event?: string
  /** Only rows that `find` lists after the row with these values. */
  readonly before?: Pick<AuditRow, 'at' | 'seq'>
}

export interface AuditStore {
  /** The head and the range of rows, read at one moment. */
  state(): Promise<AuditState>
  /**
   * Appends rows and moves the head, if the head still equals `expected` in every member. Returns false, and changes nothing, if
   * it does not, or if a row with the same `seq` is stored. What is about a user who does not exist (any more) is not stored.
   */
  append(expected: AuditHead, rows: readonly AuditRow[], head: AuditHead): Promise<boolean>
  /** Stores a head after the head was deleted by hand. Returns false if there is a head. */
  putHead(head: AuditHead): Promise<boolean>
  /** Deletes the rows up to the new `baseSeq` and moves the head, if the head still equals `expected`; otherwise returns false. */
  prune(expected: AuditHead, head: AuditHead): Promise<boolean>
  /** The values of `ip` in all rows that have one of this user. */
  addressesOf(userId: string): Promise<string[]>
  /** Erases `ip` in these rows. */
  eraseAddresses(seqs: readonly number[]): Promise<void>
  /** At most `limit` rows with a higher `seq`, lowest first. */
  page(seq: number, limit: number): Promise<AuditRow[]>
  /** At most `limit` rows that match, newest first. */
  find(filter: AuditFilter, limit: number): Promise<AuditRow[]>
}
