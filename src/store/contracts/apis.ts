import type { EpochSeconds, Seconds } from '../../system.ts'
import type { New, Update } from './update.ts'

/** A protected resource (RFC 8707). It owns its scopes. */
export interface Api {
  /** The `aud` claim of tokens for the API; clients may send it as `resource`. */
  readonly identifier: string
  /** What people are shown instead of the identifier; null: the identifier. */
  readonly name: string | null
  readonly scopes: readonly string[]
  /** What people are shown instead of a scope. A scope without a text is not in it. */
  readonly scopeTexts: Readonly<Record<string, string>>
  readonly accessTokenTtl: Seconds | null
  /** The algorithm that signs its access tokens; null: the default of the ring. */
  readonly signingAlg: string | null
  readonly createdAt: EpochSeconds
  /** Grows by one with every change of the row (contracts/update.ts). The store sets it. */
  readonly revision: number
}

/** A scope belongs to at most one API, so that a requested scope determines the audience (RFC 9068 §3). */
export interface ApiStore {
  /** An identifier that names the same API (resource-uri.ts) finds it too, here and below. */
  find(identifier: string): Promise<Api | null>
  /** Oldest first. */
  list(): Promise<Api[]>
  /** At most `limit` APIs after this one in the order of `list`, or from the beginning. */
  page(after: Pick<Api, 'createdAt' | 'identifier'> | null, limit: number): Promise<Api[]>
  /** The identifier of the API that owns each of these scopes. A scope that no API owns is not in it. */
  owners(scopes: readonly string[]): Promise<ReadonlyMap<string, string>>
  /**
   * Returns false, and changes nothing, if the identifier, an equivalent spelling of it, or one of the scopes is taken, or if the
   * ring lacks the lane of its algorithm. Deletes consents for the identifier, which can only be for an earlier API.
   */
  insert(api: New<Api>): Promise<boolean>
  /**
   * Changes name, scopes, texts, lifetime and algorithm. The text of a scope that the API does not have is not stored. Reports a
   * conflict if another API owns one of the scopes, or if the ring lacks the lane of the algorithm.
   */
  readonly update: Update<Api>
  /**
   * Deletes the API, its scopes, and the consents of users for it. Returns false if the API does not exist or, with `revision`, if it
   * has another revision.
   */
  delete(identifier: string, revision?: number): Promise<boolean>
}
