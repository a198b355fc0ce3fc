import type { EpochSeconds } from '../../system.ts'

/** Scopes of one audience that a user has granted to a client permanently: the consent page is not shown again for them. */
export interface Consent {
  readonly userId: string
  readonly clientId: string
  /** The API that the scopes belong to, or the default audience. */
  readonly audience: string
  readonly scopes: readonly string[]
  readonly grantedAt: EpochSeconds
}

export interface ConsentStore {
  find(userId: string, clientId: string, audience: string): Promise<Consent | null>
  /** Of one client, or of all; newest first. */
  list(userId: string, clientId?: string): Promise<Consent[]>
  /** Adds the scopes to those that were granted before at the audience. Returns false if the user or the client does not exist. */
  add(consent: Consent): Promise<boolean>
  /** Deletes the consent at every audience. Returns false if there is none. */
  delete(userId: string, clientId: string): Promise<boolean>
}
