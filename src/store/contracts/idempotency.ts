import type { EpochSeconds } from '../../system.ts'

/** A request that an administrator may send again: what is known of it by its `Idempotency-Key`. */
export interface IdempotentRequest {
  /** As in the audit trail. The keys of different actors are different keys. */
  readonly actor: string
  readonly key: string
  /** What the request asks for, encrypted, so that another request with the same key is noticed. */
  readonly request: string
  readonly begunAt: EpochSeconds
  /** The key can be used for another request from this time on. */
  readonly expiresAt: EpochSeconds
  /** The answer, encrypted; null while the request is in progress, and for ever if the process ended in the middle of it. */
  readonly answer: string | null
}

export interface IdempotencyStore {
  /** Stores that a request begins. Returns true for exactly one of any number of concurrent callers until the key expires. */
  begin(request: Omit<IdempotentRequest, 'answer'>): Promise<boolean>
  /** null if the actor has not used the key, or it has expired. */
  find(actor: string, key: string, now: EpochSeconds): Promise<IdempotentRequest | null>
  /** Stores the answer. Returns false if the request is not in progress. */
  finish(request: Pick<IdempotentRequest, 'actor' | 'key' | 'begunAt'>, answer: string): Promise<boolean>
  /** Deletes a request in progress that changed nothing, so that its key can be used again. */
  forget(request: Pick<IdempotentRequest, 'actor' | 'key' | 'begunAt'>): Promise<void>
  /** Deletes at most `limit` requests whose `expiresAt` is before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
