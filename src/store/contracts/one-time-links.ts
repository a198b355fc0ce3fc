import type { EpochSeconds } from '../../system.ts'

/** What a link was handed over for. A link is accepted for its purpose alone. */
export type LinkPurpose = 'invite' | 'reset'

/** A link with which a user sets a password or registers a passkey, once. */
export interface OneTimeLink {
  readonly userId: string
  readonly purpose: LinkPurpose
  /** SHA-256 of the secret in the link. */
  readonly hash: string
  readonly createdAt: EpochSeconds
  /** The link is void from this time on. */
  readonly expiresAt: EpochSeconds
}

/**
 * A link is also void once a newer link for its purpose is stored, the user's password changes, or the user is disabled, deleted or
 * given a role, or a role of the user is given a scope (contracts/users.ts, contracts/roles.ts): the administrator who made the link
 * might not be allowed to make one for what the account has now.
 */
export interface OneTimeLinkStore {
  /** Stores the link, in place of the user's older link for the same purpose. Returns false if there is no such enabled user. */
  replace(link: OneTimeLink): Promise<boolean>
  /** null if the link does not exist, is for another purpose, or has expired. Changes nothing. */
  find(hash: string, purpose: LinkPurpose, now: EpochSeconds): Promise<OneTimeLink | null>
  /** Uses the link up. Returns true for exactly one of any number of concurrent callers, and false if the link is void. */
  consume(link: OneTimeLink, now: EpochSeconds): Promise<boolean>
  /** Does what `consume` does and sets the user's password in the same batch, which makes all other links of the user void. */
  setPassword(link: OneTimeLink, passwordHash: string, now: EpochSeconds): Promise<boolean>
  /** Deletes at most `limit` links whose `expiresAt` is before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
