import type { EpochSeconds } from '../../system.ts'

/** One person in one browser: what the session cookie names, and single sign-on lives from. */
export interface SignIn {
  readonly id: string
  readonly userId: string
  readonly createdAt: EpochSeconds
  /** When the person last proved who they are (`auth_time`, OIDC Core §2). */
  readonly authTime: EpochSeconds
  /** How (RFC 8176). */
  readonly amr: readonly string[]
  /** Absolute end. */
  readonly expiresAt: EpochSeconds
  /** End unless it is used before. */
  readonly idleExpiresAt: EpochSeconds
  readonly endedAt: EpochSeconds | null
  /** Where from, and with which browser; for the person to tell their sign-ins apart. */
  readonly ip: string
  readonly userAgent: string
}

export interface SignInStore {
  /** @param secretHash SHA-256 of what the cookie holds; false if the user is gone */
  insert(signIn: SignIn, secretHash: string): Promise<boolean>
  /** Also one that has ended, so that the caller can tell. */
  findBySecret(secretHash: string): Promise<SignIn | null>
  find(id: string): Promise<SignIn | null>
  /**
   * The same person has signed in again: a new secret takes the place of the old one. False, and nothing changed,
   * if it has ended or has another secret already.
   */
  renew(
    id: string,
    secrets: { readonly seen: string; readonly fresh: string },
    proof: Pick<SignIn, 'authTime' | 'amr' | 'idleExpiresAt'>,
  ): Promise<boolean>
  /** It was used: moves its idle end, never back. */
  touch(id: string, idleExpiresAt: EpochSeconds): Promise<void>
  /**
   * Ends it, and with it all its sessions that are not offline. Clients that want to be told are noted for it in the
   * same batch. Returns the ids of the sessions it ended; null if it had ended already.
   */
  end(id: string, now: EpochSeconds, reason: string): Promise<string[] | null>
  /** Those that have not ended, newest first. */
  list(userId: string, now: EpochSeconds): Promise<SignIn[]>
  /** Deletes at most `limit` that ended before `before`; returns how many. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
