import type { EpochSeconds } from '../../system.ts'
import type { Ring } from './ring.ts'

/** A secret that keys are derived from, under the master key. */
export interface StoredRoot {
  /** From 1 on, in the order in which they were made. */
  readonly number: number
  readonly sealed: string
  readonly madeAt: EpochSeconds
  /** From then on it is written with; before, it is only read. */
  readonly writesFrom: EpochSeconds
  /** The first status list of this root; the next root's first ends them. */
  readonly listsFrom: number
  /** What was written with it is not accepted any more. */
  readonly voided: boolean
}

/** Everything that the master key seals, under another. */
export interface Resealing {
  /** As it was read. */
  readonly ring: Ring
  /** kid → the new text, for each key that has a private half. */
  readonly keys: ReadonlyMap<string, string>
  /** As they were read, all of them. */
  readonly roots: readonly StoredRoot[]
  /** number → the new text. */
  readonly sealed: ReadonlyMap<number, string>
  /** Begins with it; new status lists begin too. */
  readonly fresh?: Pick<StoredRoot, 'number' | 'sealed' | 'madeAt' | 'writesFrom'>
  /** Those that were there are void from now on. */
  readonly voids?: boolean
}

/** What still depends on a root. */
export interface Dependents {
  /** Live sessions whose refresh token was written before `before`. */
  readonly sessions: number
  readonly secondFactors: number
  /** Users with recovery codes of it. */
  readonly recoveryCodes: number
  /** Runs of status indices that a living token may have one of. */
  readonly statusBlocks: number
}

export interface RootStore {
  /** Oldest first. */
  list(): Promise<StoredRoot[]>

  /** Stores the first root. True for exactly one caller, ever. */
  create(first: StoredRoot): Promise<boolean>

  /**
   * All or nothing, as one new version of the ring; so at no moment is a part under another master key. False, and nothing
   * changed, if the ring or any root is not as it was read.
   */
  reseal(change: Resealing): Promise<boolean>

  /** Nothing more is accepted of roots with a lower number. */
  voidBefore(number: number): Promise<void>

  /** Forgets a root; the newest stays. False if there is none to forget. */
  remove(number: number): Promise<boolean>

  /**
   * What depends on roots below `number`.
   * @param before sessions used later have a refresh token of a newer root
   */
  dependents(number: number, before: EpochSeconds, now: EpochSeconds): Promise<Dependents>
}
