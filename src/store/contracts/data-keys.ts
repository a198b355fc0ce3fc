import type { EpochSeconds } from '../../system.ts'
import type { Ring } from './ring.ts'

/** A secret from which other keys are derived, encrypted under the master key. */
export interface StoredDataKey {
  /** Counts up from 1, in the order of creation. */
  readonly number: number
  readonly encrypted: string
  readonly createdAt: EpochSeconds
  /** From then on new values are made with it. Before, nodes only read it. */
  readonly currentFrom: EpochSeconds
  /** The first status list that belongs to this data key; its lists end where those of the next data key begin. */
  readonly firstStatusList: number
  /** Values that were made with it are refused. */
  readonly invalidated: boolean
}

/** All that is encrypted under the master key, encrypted under another master key. */
export interface MasterKeyRotation {
  /** As it was read. */
  readonly ring: Ring
  /** kid → the new text, for each key that has a private key. */
  readonly privateKeys: ReadonlyMap<string, string>
  /** All of them, as they were read. */
  readonly dataKeys: readonly StoredDataKey[]
  /** number → the new text. */
  readonly encryptedDataKeys: ReadonlyMap<number, string>
  /** Added, and new status lists begin with it. */
  readonly newDataKey?: Pick<StoredDataKey, 'number' | 'encrypted' | 'createdAt' | 'currentFrom'>
  /** Invalidates the data keys that were there. */
  readonly invalidateOld?: boolean
}

/** What still depends on a data key. */
export interface Dependents {
  /** Live sessions whose refresh token was issued before `before`. */
  readonly sessions: number
  readonly secondFactors: number
  /** Users with recovery codes that were made with it. */
  readonly recoveryCodes: number
  /** Blocks of status indices of which a token that has not expired may have one. */
  readonly statusBlocks: number
}

export interface DataKeyStore {
  /** Oldest first. */
  list(): Promise<StoredDataKey[]>

  /** Stores the first data key. True for exactly one caller, ever. */
  create(first: StoredDataKey): Promise<boolean>

  /**
   * All or nothing, as one new version of the ring, so that at no moment a part is under another master key. False, and
   * nothing changed, if the ring or any data key is not as it was read.
   */
  rotateMasterKey(rotation: MasterKeyRotation): Promise<boolean>

  /** Invalidates the data keys with a lower number. */
  invalidateBefore(number: number): Promise<void>

  /** Deletes a data key; the newest one stays. False if nothing was deleted. */
  remove(number: number): Promise<boolean>

  /**
   * What depends on data keys below `number`.
   * @param before sessions that were used later have a refresh token of a newer data key
   */
  dependents(number: number, before: EpochSeconds, now: EpochSeconds): Promise<Dependents>
}
