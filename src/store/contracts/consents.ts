import type { EpochSeconds } from '../../system.ts'

/** What a person has allowed a client and wants not to be asked again. */
export interface Consent {
  readonly userId: string
  readonly clientId: string
  readonly scopes: readonly string[]
  readonly grantedAt: EpochSeconds
}

export interface ConsentStore {
  find(userId: string, clientId: string): Promise<Consent | null>
  list(userId: string): Promise<Consent[]>
  /** Adds to what was allowed before. False if the user or the client is gone. */
  add(consent: Consent): Promise<boolean>
  /** False if there was none. */
  delete(userId: string, clientId: string): Promise<boolean>
}
