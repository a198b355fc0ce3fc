import type { EpochSeconds } from '../../system.ts'

/** Access tokens that were revoked before they expired (RFC 7009 §2), by `jti`. */
export interface RevokedTokenStore {
  /** Resolves when the revocation is on disk. Idempotent. */
  add(jti: string, expiresAt: EpochSeconds): Promise<void>
  has(jti: string): Promise<boolean>
  /** Deletes at most `limit` rows with `expiresAt` before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
