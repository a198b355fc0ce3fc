import type { EpochSeconds } from '../../system.ts'
import type { AuditHead } from './audit.ts'
import type { Ring } from './ring.ts'

/** A secret from which other keys are derived, encrypted under the master key. */
export interface StoredDataKey {
  /** Counts up from 1, in the order of creation. */
  readonly number: number
  readonly encrypted: string
  readonly createdAt: EpochSeconds
  /** From this time on, new values are made with the data key. Until then, nodes only read values with it. */
  readonly currentFrom: EpochSeconds
  /** The first status list that belongs to this data key; its lists end where those of the next data key begin. */
  readonly firstStatusList: number
  /** Values that were made with the data key are refused. */
  readonly invalidated: boolean
}

/** Everything that is encrypted under the old master key, re-encrypted under the new one. */
export interface MasterKeyRotation {
  /** The ring as it was read. */
  readonly ring: Ring
  /** kid → the new ciphertext, for each key that has a private key. */
  readonly privateKeys: ReadonlyMap<string, string>
  /** All data keys as they were read. */
  readonly dataKeys: readonly StoredDataKey[]
  /** number → the new ciphertext. */
  readonly encryptedDataKeys: ReadonlyMap<number, string>
  /** The data key to add. New status lists belong to it. */
  readonly newDataKey?: Pick<StoredDataKey, 'number' | 'encrypted' | 'createdAt' | 'currentFrom'>
  /** The head of the audit log as it was read, and the same head signed with the new data key. */
  readonly auditHead?: { readonly expected: AuditHead; readonly head: AuditHead }
  /** Whether to invalidate the old data keys. */
  readonly invalidateOld?: boolean
}

/** How many values still depend on a data key. */
export interface Dependents {
  /** Active client sessions whose refresh token was issued before `before`. */
  readonly sessions: number
  readonly secondFactors: number
  /** Users with recovery codes of the data key. */
  readonly recoveryCodes: number
  /** Blocks of status indices that unexpired tokens may use. */
  readonly statusBlocks: number
}

export interface DataKeyStore {
  /** Oldest first. */
  list(): Promise<StoredDataKey[]>

  /** Stores the first data key. Returns true for exactly one caller, ever. */
  create(first: StoredDataKey): Promise<boolean>

  /**
   * Replaces all ciphertexts in one batch, as a new version of the ring, so that all are always under the same master key. Returns
   * false, and changes nothing, if the ring, a data key or the head of the audit log has changed since it was read.
   */
  rotateMasterKey(rotation: MasterKeyRotation): Promise<boolean>

  /** Invalidates the data keys with a lower number. */
  invalidateBefore(number: number): Promise<void>

  /** Deletes a data key, but never the newest one. Returns false if nothing was deleted. */
  remove(number: number): Promise<boolean>

  /**
   * Counts what depends on data keys below `number`.
   * @param before sessions that were refreshed later have a refresh token of a newer data key
   */
  dependents(number: number, before: EpochSeconds, now: EpochSeconds): Promise<Dependents>
}
