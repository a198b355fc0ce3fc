import type { EpochSeconds } from '../../system.ts'

export interface IdentityStore {
  /** The name of the store; null until it has one. */
  read(): Promise<string | null>
  /** Names the store. True for exactly one caller, ever. */
  create(store: string, now: EpochSeconds): Promise<boolean>
}
