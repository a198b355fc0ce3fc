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
  /** Consents to one client, or to all clients; newest first. */
  list(userId: string, clientId?: string): Promise<Consent[]>
  /**
   * Adds the scopes to those that were granted before for the audience. Returns false if the user or the client does not exist.
   */
  add(consent: Consent): Promise<boolean>
  /** Deletes the consents for all audiences. Returns false if there is none. */
  delete(userId: string, clientId: string): Promise<boolean>
}
