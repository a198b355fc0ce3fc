import type { EpochSeconds } from '../../system.ts'

/** Access tokens taken back before they expired (RFC 7009), by `jti`; kept only as long as they would live. */
export interface RevokedTokenStore {
  /** Resolves once the fact is on disk; repeating it is harmless. */
  add(jti: string, expiresAt: EpochSeconds): Promise<void>
  has(jti: string): Promise<boolean>
  prune(before: EpochSeconds, limit: number): Promise<number>
}
