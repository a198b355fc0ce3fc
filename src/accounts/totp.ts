/**
 * Codes of an authenticator app (RFC 6238). SHA-1, six digits and thirty seconds are what every app can do; HMAC
 * with SHA-1 is not touched by its collisions. Must not know where secrets are kept, or who guesses.
 */
import { Secret, TOTP } from 'otpauth'
import type { Cipher } from '../keys/encryption.ts'
import type { Clock, Random } from '../system.ts'
import { TOTP_PERIOD, TOTP_WINDOW } from './lifetimes.ts'

/** As long as the digest (RFC 4226 §4, R6). */
const SECRET_BYTES = 20

const FORMAT = { algorithm: 'SHA1', digits: 6, period: TOTP_PERIOD } as const

/** The cipher of the secrets in the store. */
export const TOTP_SECRETS = {
  purpose: 'keyturn/second-factors/v1',
  what: 'the authenticator secret of user',
} as const

export interface TotpDeps {
  readonly cipher: Cipher
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  /** What apps call us. */
  readonly name: string
}

export interface Totp {
  /** Base32, as people type it when they cannot scan. */
  makeSecret(): string
  /** What a QR code carries. */
  uri(secret: string, username: string): string
  /** The time step whose code this is; null if it is none of those around now. */
  stepOf(secret: string, code: string): number | null
  /** For the store. It can be decrypted for this user only. */
  encrypt(userId: string, secret: string): string
  /** @throws {DecryptionError} */
  decrypt(userId: string, encryptedSecret: string): string
}

/** Whether it is written as these codes are; spaces and full-width digits are what keyboards make of them. */
export function asTotpCode(entered: string): string | null {
  const code = entered.normalize('NFKC').replaceAll(/\s/g, '')
  return /^[0-9]{6}$/.test(code) ? code : null
}

export function createTotp({ cipher, clock, random, name }: TotpDeps): Totp {
  return {
    makeSecret: () => Secret.fromHex(random.bytes(SECRET_BYTES).toString('hex')).base32,

    uri(secret, username) {
      // A colon ends the issuer in the label, whether it is escaped or not.
      const issuer = name.replaceAll(':', ' ').trim()
      return new TOTP({ ...FORMAT, issuer, label: username, secret }).toString()
    },

    stepOf(secret, code) {
      const token = asTotpCode(code)
      if (token === null) return null
      const now = clock.now()
      const delta = TOTP.validate({
        ...FORMAT,
        secret: Secret.fromBase32(secret),
        token,
        timestamp: now * 1000,
        window: TOTP_WINDOW,
      })
      return delta === null ? null : Math.floor(now / TOTP_PERIOD) + delta
    },

    encrypt: (userId, secret) => cipher.encrypt(userId, secret),
    decrypt: (userId, encryptedSecret) => cipher.decrypt(userId, encryptedSecret),
  }
}
