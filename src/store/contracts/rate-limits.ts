import type { EpochSeconds, Seconds } from '../../system.ts'

/** A bucket that holds `burst` attempts and gets one attempt back every `interval`. */
export interface Bucket {
  /** A keyed hash, so that the store contains neither usernames nor addresses. */
  readonly key: string
  readonly burst: number
  readonly interval: Seconds
}

/**
 * Counts attempts in buckets, one row per bucket (generic cell rate algorithm: the row contains only the time at which the bucket
 * will be full again). A bucket refills over time, so no one is locked out permanently.
 */
export interface RateLimitStore {
  /**
   * Takes one attempt from every bucket, or from none of them. Atomic: concurrent callers cannot take the same attempt. Returns 0
   * if the attempt is admitted, otherwise after how many seconds (at least 1) the caller may try again.
   */
  take(buckets: readonly Bucket[], now: EpochSeconds): Promise<Seconds>
  /** After how many seconds each bucket admits the next attempt, in order; 0 if it would admit one now. Takes nothing. */
  waits(buckets: readonly Bucket[], now: EpochSeconds): Promise<Seconds[]>
  /** Returns one attempt to each bucket, after an attempt that succeeded. */
  refund(buckets: readonly Bucket[]): Promise<void>
  /** Fills the bucket. */
  reset(key: string): Promise<void>
  /** Deletes at most `limit` buckets that are full. Returns how many were deleted. */
  prune(now: EpochSeconds, limit: number): Promise<number>
}

/** Locations (keyed hashes of account and address) from which the user of the account has signed in before. */
export interface KnownLocationStore {
  /** Stores the location, or replaces its expiry. */
  add(key: string, until: EpochSeconds): Promise<void>
  /** Whether the location is stored and expires after `now`. */
  has(key: string, now: EpochSeconds): Promise<boolean>
  /** Deletes at most `limit` locations that expired before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
