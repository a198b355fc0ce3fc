import type { EpochSeconds } from '../../system.ts'

/** An authorization request that a client has pushed (RFC 9126 §2). */
export interface PushedRequest {
  readonly clientId: string
  /** The revision of the client that pushed it: the request was authenticated and validated with what was registered then. */
  readonly clientRevision: number
  /** Pairs of name and value. Only a parameter that may be repeated occurs more than once. */
  readonly parameters: readonly (readonly [string, string])[]
  readonly expiresAt: EpochSeconds
  readonly usedAt: EpochSeconds | null
}

export interface PushedRequestStore {
  /** Returns false if the client does not exist, or the hash is taken. */
  insert(hash: string, request: PushedRequest): Promise<boolean>
  /** Finds used and expired requests too. */
  find(hash: string): Promise<PushedRequest | null>
  /** Marks the request as used. Returns true for exactly one of any number of concurrent callers. */
  consume(hash: string, now: EpochSeconds): Promise<boolean>
  /** Deletes at most `limit` requests that expired before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
