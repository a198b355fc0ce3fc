import type { EpochSeconds } from '../../system.ts'
import type { StatusIndex } from './status.ts'

/** One sign-in of one user at one client: the only row that its refresh tokens ever need. */
export interface Session {
  /** `sid`. */
  readonly id: string
  readonly clientId: string
  readonly userId: string
  /** What was granted at sign-in; a refresh may ask for less, never more (RFC 6749 §6). */
  readonly scopes: readonly string[]
  readonly audience: string
  /** Generation of the refresh token that is good now. */
  readonly generation: number
  /** When that generation was made from the one before; the retry window is counted from here. */
  readonly rotatedAt: EpochSeconds
  readonly createdAt: EpochSeconds
  readonly authTime: EpochSeconds
  /** Absolute end. */
  readonly expiresAt: EpochSeconds
  /** End unless it is used before; moves with every refresh, never past `expiresAt`. */
  readonly idleExpiresAt: EpochSeconds
  readonly revokedAt: EpochSeconds | null
  readonly revokedReason: string | null
  /** The status index that all access tokens of the session carry; revoked with the session. */
  readonly status: StatusIndex
  /** The browser it came from; null where there was none. */
  readonly signInId: string | null
  /** How the person proved who they are (RFC 8176). */
  readonly amr: readonly string[]
  /** Names of single claims that the client wants from userinfo (OIDC Core §5.5). */
  readonly userinfoClaims: readonly string[]
  /** Outlives the sign-in (OIDC Core §11). */
  readonly offline: boolean
  /** The client wants to be told when it ends (OpenID Connect Back-Channel Logout). */
  readonly backchannelLogout: boolean
}

export interface SessionFilter {
  readonly userId?: string
  readonly clientId?: string
  readonly id?: string
  readonly signInId?: string
}

export interface SessionStore {
  /** False if the client or the user is gone. */
  insert(session: Session): Promise<boolean>
  find(id: string): Promise<Session | null>

  /**
   * Generation n → n + 1. True for exactly one of any number of concurrent callers; false for all others and
   * for a revoked session. Single use is this conditional update, not a read before it.
   */
  rotate(id: string, generation: number, now: EpochSeconds, idleExpiresAt: EpochSeconds): Promise<boolean>

  /**
   * Takes back the index that all its access tokens carry until now, and gives it a new one: the tokens end, the
   * session goes on. False, and nothing changed, if the index was another already.
   */
  replaceStatus(id: string, seen: StatusIndex, fresh: StatusIndex): Promise<boolean>
  /** True if it was alive; the reason is kept for the operator. */
  revoke(id: string, now: EpochSeconds, reason: string): Promise<boolean>
  /** Ends all live sessions that match; returns the ids it ended. */
  revokeMatching(filter: SessionFilter, now: EpochSeconds, reason: string): Promise<string[]>
  /** Newest first. */
  list(filter: SessionFilter, limit: number): Promise<Session[]>
  /** Deletes at most `limit` sessions that ended before `before`; returns how many. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
