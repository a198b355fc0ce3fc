import type { EpochSeconds } from '../../system.ts'

/** Scopes that a user has granted to a client for good, so that the consent page is not shown again. */
export interface Consent {
  readonly userId: string
  readonly clientId: string
  readonly scopes: readonly string[]
  readonly grantedAt: EpochSeconds
}

export interface ConsentStore {
  find(userId: string, clientId: string): Promise<Consent | null>
  /** Newest first. */
  list(userId: string): Promise<Consent[]>
  /** Adds the scopes to those that were granted before. Returns false if the user or the client does not exist. */
  add(consent: Consent): Promise<boolean>
  /** Returns false if there is no consent. */
  delete(userId: string, clientId: string): Promise<boolean>
}
