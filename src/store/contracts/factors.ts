import type { EpochSeconds } from '../../system.ts'

/** The secret of an authenticator app. A user has at most one. */
interface TotpSecret {
  readonly userId: string
  readonly encryptedSecret: string
  /** Number of the data key that the secret is encrypted with. */
  readonly dataKey: number
  /** The newest time step for which a code was accepted (RFC 6238 §5.2). */
  readonly lastStep: number
  readonly createdAt: EpochSeconds
}

/** The public half of a WebAuthn credential. */
export interface Passkey {
  /** Credential id, base64url. */
  readonly id: string
  readonly userId: string
  /** COSE_Key, base64url. */
  readonly publicKey: string
  /** The signature counter of the authenticator; always 0 if the authenticator does not count (WebAuthn §6.1.1). */
  readonly counter: number
  readonly transports: readonly string[]
  /** The name that the user gave the passkey. */
  readonly name: string
  /** The passkey is synchronized, so that more than one device has it (WebAuthn §6.1.3). */
  readonly backedUp: boolean
  readonly createdAt: EpochSeconds
  readonly lastUsedAt: EpochSeconds | null
}

export interface FactorSummary {
  readonly totp: boolean
  readonly passkeys: number
  /** How many codes of the set are unused. */
  readonly recoveryCodes: number
}

/** The members that identify a passkey, and those that a use may change. */
type PasskeyUse = Pick<Passkey, 'id' | 'userId' | 'counter' | 'backedUp'>

export const MAX_PASSKEYS = 20

/**
 * The second factors of users. They are deleted with the user. Recovery codes replace a lost factor, so they are deleted in the
 * same batch as the last factor.
 */
export interface FactorStore {
  /** One query. A user who does not exist has no factors. */
  summary(userId: string): Promise<FactorSummary>

  findTotp(userId: string): Promise<TotpSecret | null>
  /** Returns false if the user has a secret, or does not exist. */
  addTotp(secret: TotpSecret): Promise<boolean>
  /**
   * Consumes a time step and all earlier steps (RFC 6238 §5.2). Returns true for exactly one of any number of concurrent
   * callers. Returns false if the step is not newer than the last one, or if the secret has been replaced since it was read.
   */
  consumeTotpStep(userId: string, encryptedSecret: string, step: number): Promise<boolean>
  /** Returns false if the user has no secret. */
  removeTotp(userId: string): Promise<boolean>
  /** At most `limit` secrets that are encrypted with a data key older than `dataKey`. */
  listTotpBefore(dataKey: number, limit: number): Promise<Pick<TotpSecret, 'userId' | 'encryptedSecret'>[]>
  /** Stores the secret encrypted with another data key. Returns false if the stored ciphertext does not equal `expected`. */
  reencryptTotp(userId: string, expected: string, encryptedSecret: string, dataKey: number): Promise<boolean>

  /** Oldest first. */
  listPasskeys(userId: string): Promise<Passkey[]>
  findPasskey(id: string): Promise<Passkey | null>
  /**
   * Returns false if the id is taken by any user, if the user has `MAX_PASSKEYS`, or if the user does not exist; under any
   * concurrency.
   */
  addPasskey(passkey: Passkey): Promise<boolean>
  /**
   * Records a use. Returns false, and changes nothing, if the passkey does not belong to the user, or if the counter did not grow
   * although the authenticator counts (WebAuthn §6.1.1): then there may be a copy of the passkey.
   */
  recordPasskeyUse(use: PasskeyUse, now: EpochSeconds): Promise<boolean>
  /** Returns false if the user has no such passkey. */
  removePasskey(userId: string, id: string): Promise<boolean>

  /**
   * Replaces the whole set in one batch. Returns false, and changes nothing, if the user does not exist.
   * @param dataKey number of the data key that the hashes were made with
   */
  replaceRecoveryCodes(userId: string, hashes: readonly string[], dataKey: number): Promise<boolean>
  /** Number of the data key that the user's set was made with; null if there are no codes left. */
  recoveryCodesKey(userId: string): Promise<number | null>
  /** Deletes the code. Returns true for exactly one of any number of concurrent callers. */
  consumeRecoveryCode(userId: string, hash: string): Promise<boolean>

  /** Deletes all factors and recovery codes of the user. Returns false if there were none. */
  reset(userId: string): Promise<boolean>
}
