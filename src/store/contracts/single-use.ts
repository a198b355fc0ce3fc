import type { EpochSeconds } from '../../system.ts'

/** Identifiers that count once: the `jti` of client assertions (RFC 7523 §3, rule 7). */
export interface SingleUseStore {
  /**
   * Remembers `id` until `until`. True the first time, false for every replay, under any concurrency and
   * across restarts.
   */
  claim(id: string, until: EpochSeconds): Promise<boolean>
  prune(before: EpochSeconds, limit: number): Promise<number>
}
