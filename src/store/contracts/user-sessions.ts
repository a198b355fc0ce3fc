import type { EpochSeconds } from '../../system.ts'

/** A user who is signed in with one browser. The session cookie refers to it, and single sign-on depends on it. */
export interface UserSession {
  readonly id: string
  readonly userId: string
  readonly createdAt: EpochSeconds
  /** When the user last authenticated (`auth_time`, OIDC Core §2). */
  readonly authTime: EpochSeconds
  /** How the user authenticated (RFC 8176). */
  readonly amr: readonly string[]
  /** The session ends at this time even if it is used. */
  readonly expiresAt: EpochSeconds
  /** The session ends at this time unless it is used before. */
  readonly idleExpiresAt: EpochSeconds
  readonly endedAt: EpochSeconds | null
  /** Address and browser, by which users recognize their sessions on the account page. */
  readonly ip: string
  readonly userAgent: string
}

export interface UserSessionStore {
  /**
   * Returns false if the user does not exist, or the id or secret is taken.
   * @param secretHash SHA-256 of the secret in the cookie
   */
  insert(userSession: UserSession, secretHash: string): Promise<boolean>
  /** Finds ended and expired sessions too, so that the caller can say why a session is not valid. */
  findBySecret(secretHash: string): Promise<UserSession | null>
  find(id: string): Promise<UserSession | null>
  /**
   * Stores that the same user has signed in again: a new secret replaces the old one. Returns false, and changes nothing, if the
   * session has ended or its secret hash does not equal `secrets.expected`.
   */
  renew(
    id: string,
    secrets: { readonly expected: string; readonly replacement: string },
    proof: Pick<UserSession, 'authTime' | 'amr' | 'idleExpiresAt'>,
  ): Promise<boolean>
  /** Extends the idle expiry after a use; never moves it back. */
  touch(id: string, idleExpiresAt: EpochSeconds): Promise<void>
  /**
   * Ends the session and revokes all its client sessions that are not offline. Clients that want logout tokens are put into the
   * logout outbox in the same batch. Returns the ids of the client sessions that were revoked; null if the session does not exist
   * or had ended.
   */
  end(id: string, now: EpochSeconds, reason: string): Promise<string[] | null>
  /** The user's sessions that have neither ended nor expired, newest first. */
  list(userId: string, now: EpochSeconds): Promise<UserSession[]>
  /** Deletes at most `limit` sessions whose `idleExpiresAt` is before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
