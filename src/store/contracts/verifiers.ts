import type { EpochSeconds } from '../../system.ts'

/** A process that verifies tokens and sent its name when it fetched the JWKS. */
export interface KnownVerifier {
  readonly name: string
  /** Distinguishes processes of the same name. */
  readonly instance: string
  /** Version of the ring whose JWKS the process has fetched last. */
  readonly ringVersion: number
  readonly seenAt: EpochSeconds
}

export interface ListedVerifier extends KnownVerifier {
  /** An administrator has named the verifier, so that rotations wait for it. */
  readonly expected: boolean
}

export interface VerifierStore {
  /** Inserts or updates verifiers. An older version or time never replaces a newer one. */
  record(verifiers: readonly KnownVerifier[]): Promise<void>
  /** Verifiers seen at or after `since`, in the order of their names. */
  list(since: EpochSeconds): Promise<ListedVerifier[]>
  /** From now on, rotations wait for verifiers of this name. Returns false if they already do. */
  expect(name: string, now: EpochSeconds): Promise<boolean>
  /** Names that rotations wait for, in order, whether or not a verifier of the name was seen. */
  expected(): Promise<string[]>
  /** Deletes all verifiers with the name, which is no longer expected. Returns false if it was neither seen nor expected. */
  delete(name: string): Promise<boolean>
  /** Deletes at most `limit` verifiers with `seenAt` before `before`. Expected names remain. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
