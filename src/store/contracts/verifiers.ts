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

export interface VerifierStore {
  /** Inserts or updates verifiers. An older version or time never replaces a newer one. */
  record(verifiers: readonly KnownVerifier[]): Promise<void>
  /** Verifiers seen at or after `since`, by name. */
  list(since: EpochSeconds): Promise<KnownVerifier[]>
  /** Deletes all processes of the name. Returns false if there was none. */
  delete(name: string): Promise<boolean>
  /** Deletes at most `limit` verifiers with `seenAt` before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
