import type { EpochSeconds, Seconds } from '../../system.ts'

/** A bucket that holds `burst` attempts and refills by one every `interval`. */
export interface Bucket {
  /** A digest; the store learns neither names nor addresses from it. */
  readonly key: string
  readonly burst: number
  readonly interval: Seconds
}

/**
 * Attempts counted in buckets, one row each (the generic cell rate algorithm: the row holds only the time at
 * which the bucket will be full again). A bucket refills by itself, so nothing it holds back is held for good.
 */
export interface ThrottleStore {
  /**
   * Takes one attempt from every bucket, or from none. Atomic, so parallel attempts cannot share one.
   * Returns 0 when admitted, otherwise in how many seconds (at least 1) to try again.
   */
  take(buckets: readonly Bucket[], now: EpochSeconds): Promise<Seconds>
  /** Gives one attempt back to each bucket: for attempts that turned out good. */
  refund(buckets: readonly Bucket[]): Promise<void>
  /** Fills a bucket up. */
  reset(key: string): Promise<void>
  prune(now: EpochSeconds, limit: number): Promise<number>
}

/** Places (account and address, as a digest) where somebody has signed in before. */
export interface KnownLocationStore {
  add(key: string, until: EpochSeconds): Promise<void>
  has(key: string, now: EpochSeconds): Promise<boolean>
  prune(before: EpochSeconds, limit: number): Promise<number>
}
