import type { EpochSeconds } from '../../system.ts'
import type { StatusIndex } from './status.ts'

/** Access tokens that were revoked before they expired (RFC 7009 §2), by `jti`. */
export interface RevokedTokenStore {
  /**
   * Resolves when the revocation is on disk, together with that of the token's status index. Returns false, and changes nothing,
   * if the token was revoked before: a client that repeats the request must not make the store grow or wake the other nodes.
   */
  add(jti: string, expiresAt: EpochSeconds, index?: StatusIndex | null): Promise<boolean>
  has(jti: string): Promise<boolean>
  /** Deletes at most `limit` rows with `expiresAt` before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
