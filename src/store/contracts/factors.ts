import type { EpochSeconds } from '../../system.ts'

/** The secret of an authenticator app; a user has one at most. */
export interface TotpSecret {
  readonly userId: string
  readonly sealed: string
  /** The root that it is sealed with. */
  readonly root: number
  /** The newest time step of which a code was accepted (RFC 6238 §5.2). */
  readonly lastStep: number
  readonly createdAt: EpochSeconds
}

/** A WebAuthn credential, its public half. */
export interface Passkey {
  /** Credential id, base64url. */
  readonly id: string
  readonly userId: string
  /** COSE_Key, base64url. */
  readonly publicKey: string
  /** How often the authenticator says it has signed; 0 for good if it does not count. */
  readonly counter: number
  readonly transports: readonly string[]
  /** What its owner calls it. */
  readonly name: string
  /** Synchronised, so that more than one device holds it. */
  readonly backedUp: boolean
  readonly createdAt: EpochSeconds
  readonly lastUsedAt: EpochSeconds | null
}

export interface FactorSummary {
  readonly totp: boolean
  readonly passkeys: number
  /** Left of the set. */
  readonly recoveryCodes: number
}

/** What one use changes about a passkey. */
export type PasskeyUse = Pick<Passkey, 'id' | 'userId' | 'counter' | 'backedUp'>

export const MOST_PASSKEYS = 20

/**
 * What people prove besides a password. All of it goes with the user. Recovery codes stand in for a factor that
 * was lost: with the last factor they go too, in the same step.
 */
export interface FactorStore {
  /** In one query; nothing at all for a user who does not exist. */
  summary(userId: string): Promise<FactorSummary>

  findTotp(userId: string): Promise<TotpSecret | null>
  /** False if the user has one, or is gone. */
  addTotp(secret: TotpSecret): Promise<boolean>
  /**
   * Spends a time step, and all before it, of exactly the secret that was read. True for one of any number of
   * concurrent callers; false for a step that is not newer than the last one, and if the secret is another by now.
   */
  consumeTotpStep(userId: string, sealed: string, step: number): Promise<boolean>
  /** False if there is none. */
  removeTotp(userId: string): Promise<boolean>
  /** Some of those that are sealed with an older root than `root`. */
  listTotpBefore(root: number, limit: number): Promise<Pick<TotpSecret, 'userId' | 'sealed'>[]>
  /** The same secret under another seal. False if it is not what was read. */
  resealTotp(userId: string, seen: string, sealed: string, root: number): Promise<boolean>

  /** Oldest first. */
  listPasskeys(userId: string): Promise<Passkey[]>
  findPasskey(id: string): Promise<Passkey | null>
  /** False if the id is taken (by anybody), the user has `MOST_PASSKEYS`, or is gone; under any concurrency. */
  addPasskey(passkey: Passkey): Promise<boolean>
  /**
   * Notes a use. False, and nothing changed, if it is not the user's, or if its counter did not grow although the
   * authenticator counts (WebAuthn §6.1.1): then there may be a copy of it.
   */
  recordPasskeyUse(use: PasskeyUse, now: EpochSeconds): Promise<boolean>
  /** False if the user has no such passkey. */
  removePasskey(userId: string, id: string): Promise<boolean>

  /**
   * The new set and nothing of the old, in one step. False, and the old set stays, if the user is gone.
   * @param root the one that the hashes were made with
   */
  replaceRecoveryCodes(userId: string, hashes: readonly string[], root: number): Promise<boolean>
  /** True for exactly one of any number of concurrent callers, once. */
  consumeRecoveryCode(userId: string, hash: string): Promise<boolean>

  /** Takes everything; false if there was nothing. */
  reset(userId: string): Promise<boolean>
}
