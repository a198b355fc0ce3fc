import type { EpochSeconds } from '../../system.ts'

/** A process that verifies tokens and told its name when it fetched the JWKS. */
export interface KnownVerifier {
  readonly name: string
  /** Tells processes of the same name apart. */
  readonly instance: string
  /** Of the ring whose JWKS it was given last. */
  readonly ringVersion: number
  readonly seenAt: EpochSeconds
}

export interface VerifierStore {
  /** Remembers the newest: an older version or time never replaces a newer one. */
  record(verifiers: readonly KnownVerifier[]): Promise<void>
  /** Those seen at or after `since`, by name. */
  list(since: EpochSeconds): Promise<KnownVerifier[]>
  /** Forgets all processes of the name; false if there was none. */
  delete(name: string): Promise<boolean>
  prune(before: EpochSeconds, limit: number): Promise<number>
}
