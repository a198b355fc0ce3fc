import type { EpochSeconds } from '../../system.ts'

/** Identifiers that are accepted once, such as the `jti` of a client assertion (RFC 7523 §3, rule 7). */
export interface SingleUseStore {
  /**
   * Stores `id` until `until`. Returns true the first time and false for every replay, under any concurrency and across
   * restarts.
   */
  claim(id: string, until: EpochSeconds): Promise<boolean>
  /** Whether the identifier was claimed and not pruned. */
  has(id: string): Promise<boolean>
  /** Deletes at most `limit` identifiers whose `until` is before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
