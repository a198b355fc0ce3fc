import type { EpochSeconds, Seconds } from '../../system.ts'

/** A protected resource (RFC 8707), owner of scopes. */
export interface Api {
  /** What tokens carry as `aud`, and clients may name as `resource`. */
  readonly identifier: string
  readonly scopes: readonly string[]
  readonly accessTokenTtl: Seconds | null
  readonly createdAt: EpochSeconds
}

/** A scope belongs to one API at most, so that a scope alone says which audience is meant (RFC 9068 §3). */
export interface ApiStore {
  find(identifier: string): Promise<Api | null>
  list(): Promise<Api[]>
  /** False, and nothing changed, if the identifier or one of the scopes is taken. */
  insert(api: Api): Promise<boolean>
  /** False, and nothing changed, if there is no such API or one of the scopes belongs to another. */
  replace(api: Api): Promise<boolean>
  delete(identifier: string): Promise<boolean>
}
