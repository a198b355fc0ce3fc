import type { EpochSeconds } from '../../system.ts'

/** An authorization request that a client pushed (RFC 9126). */
export interface PushedRequest {
  readonly clientId: string
  /** Name and value; only what may be repeated is there more than once. */
  readonly parameters: readonly (readonly [string, string])[]
  readonly expiresAt: EpochSeconds
  readonly usedAt: EpochSeconds | null
}

export interface PushedRequestStore {
  /** False if the client is gone. */
  insert(hash: string, request: PushedRequest): Promise<boolean>
  find(hash: string): Promise<PushedRequest | null>
  /** Uses it up. True for exactly one of any number of concurrent callers. */
  consume(hash: string, now: EpochSeconds): Promise<boolean>
  prune(before: EpochSeconds, limit: number): Promise<number>
}
