import type { EpochSeconds } from '../../system.ts'
import type { Client } from './clients.ts'
import type { StatusIndex } from './status.ts'
import type { User } from './users.ts'

/**
 * What a sender must prove to use a token: the `cnf` claim of RFC 7800 §3.1. It has at least one member. If it has both, both must be
 * proven.
 */
export interface Confirmation {
  /** The thumbprint of a key that signs DPoP proofs (RFC 9449 §6.1). */
  readonly jkt?: string
  /** The thumbprint of a client certificate (RFC 8705 §3.1). */
  readonly 'x5t#S256'?: string
}

/**
 * A family of refresh tokens: what one user granted to one client by one sign-in. However often the tokens are refreshed, the
 * session is one row.
 */
export interface ClientSession {
  /** The `sid` claim of the session's tokens. */
  readonly id: string
  readonly clientId: string
  readonly userId: string
  /** Granted at sign-in. A refresh may request fewer scopes, never more (RFC 6749 §6). */
  readonly scopes: readonly string[]
  readonly audience: string
  /** Generation of the refresh token that is valid now. */
  readonly generation: number
  /** When `generation` was last incremented. The grace period for retries starts then. */
  readonly rotatedAt: EpochSeconds
  readonly createdAt: EpochSeconds
  readonly authTime: EpochSeconds
  /** The session ends at this time even if it is used. */
  readonly expiresAt: EpochSeconds
  /** The session ends at this time unless it is used before. Every refresh extends it, never past `expiresAt`. */
  readonly idleExpiresAt: EpochSeconds
  readonly revokedAt: EpochSeconds | null
  /** Shown to operators. */
  readonly revokedReason: string | null
  /** The status index that all access tokens of the session carry; revoked with the session. */
  readonly status: StatusIndex
  /** The user session in which the user signed in; null if there was no browser (the password grant). */
  readonly userSessionId: string | null
  /** How the user authenticated (RFC 8176). */
  readonly amr: readonly string[]
  /** Claims that the client requested by name from the userinfo endpoint (OIDC Core §5.5). */
  readonly userinfoClaims: readonly string[]
  /** The session outlives the user session (OIDC Core §11). */
  readonly offline: boolean
  /** The client receives a logout token when the session ends (OpenID Connect Back-Channel Logout §2). */
  readonly backchannelLogout: boolean
  /**
   * What the refresh tokens are bound to (RFC 9449 §5, RFC 8705 §4). null for a confidential client, whose refresh tokens are bound to
   * the client by its authentication, and for a public client that has proven nothing.
   */
  readonly confirmation: Confirmation | null
  /** The first generation that is bound to `confirmation`: earlier ones were issued before the client had proven anything. */
  readonly boundFrom: number
}

/** A session matches if it has all given values. An empty filter matches all sessions. */
export interface ClientSessionFilter {
  readonly userId?: string
  readonly clientId?: string
  readonly id?: string
  readonly userSessionId?: string
}

/**
 * The client and the user as a grant has read them. A write is refused if one of them has changed since: otherwise disabling the
 * client, for example, would miss a session that is inserted a moment later.
 */
export interface Owners {
  readonly client: Pick<Client, 'id' | 'revision'>
  readonly user: Pick<User, 'id' | 'revision'>
}

export interface ClientSessionStore {
  /** Returns false if the client or the user does not exist or is not as in `owners`, or if the id is taken. */
  insert(session: ClientSession, owners?: Owners): Promise<boolean>
  find(id: string): Promise<ClientSession | null>
  /** The session and its user, as they are at one moment. */
  findWithUser(id: string): Promise<{ readonly session: ClientSession; readonly user: User } | null>

  /**
   * Increments the generation if it still is `generation` and the session is not revoked. Returns true for exactly one of any
   * number of concurrent callers. This conditional update is what makes a refresh token single-use.
   * @param bind binds the new generation and all later ones
   */
  rotate(
    id: string,
    generation: number,
    now: EpochSeconds,
    idleExpiresAt: EpochSeconds,
    bind?: Confirmation | null,
  ): Promise<boolean>

  /**
   * Extends the idle expiry, and never shortens it, if the generation still is `generation` and the session is not revoked. Otherwise
   * returns false and changes nothing. For clients whose refresh tokens do not rotate.
   */
  extend(id: string, generation: number, idleExpiresAt: EpochSeconds): Promise<boolean>

  /**
   * Revokes the status index that all access tokens of the session carry so far, and gives the session a new index: the tokens
   * become invalid, the session continues. Returns false, and changes nothing, if the index does not equal `expected` or the
   * session is revoked.
   */
  replaceStatus(id: string, expected: StatusIndex, replacement: StatusIndex): Promise<boolean>
  /**
   * Revokes the session and its status index, and puts the client into the logout outbox if it wants logout tokens. Returns
   * false, and changes nothing, if the session does not exist or was revoked before.
   */
  revoke(id: string, now: EpochSeconds, reason: string): Promise<boolean>
  /**
   * Revokes all matching sessions, as `revoke` does, and in the same batch all matching authorization codes that were not used.
   * Returns the ids of the sessions that were not revoked before.
   */
  revokeMatching(filter: ClientSessionFilter, now: EpochSeconds, reason: string): Promise<string[]>
  /** At most `limit` matching sessions, newest first, from the beginning or after this one. */
  list(
    filter: ClientSessionFilter,
    limit: number,
    after?: Pick<ClientSession, 'createdAt' | 'id'>,
  ): Promise<ClientSession[]>
  /** Deletes at most `limit` sessions whose `idleExpiresAt` is before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
