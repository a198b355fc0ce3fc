/**
 * Codes of authenticator apps (RFC 6238). Every app supports SHA-1, six digits and thirty seconds; collisions of SHA-1 do not
 * affect HMAC. Must not know where secrets are stored, or rate limits.
 */
import { Secret, TOTP } from 'otpauth'
import type { Cipher } from '../keys/encryption.ts'
import type { Clock, Random } from '../system.ts'
import { TOTP_PERIOD, TOTP_WINDOW } from './lifetimes.ts'

/** The secret is as long as the digest (RFC 4226 §4, R6). */
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
  /** The name of this server in authenticator apps. */
  readonly name: string
}

export interface Totp {
  /** Base32, for users who cannot scan the QR code and type it. */
  createSecret(): string
  /** The content of the QR code. */
  uri(secret: string, username: string): string
  /** The time step that the code belongs to; null unless it is the code of the current step or of an adjacent one. */
  stepOf(secret: string, code: string): number | null
  /** Encrypts the secret for the store. The ciphertext is bound to the user. */
  encrypt(userId: string, secret: string): string
  /** @throws {DecryptionError} */
  decrypt(userId: string, encryptedSecret: string): string
}

/** Returns the six digits, without spaces and with full-width digits normalized; null if the text is not such a code. */
export function parseTotpCode(entered: string): string | null {
  const code = entered.normalize('NFKC').replaceAll(/\s/g, '')
  return /^[0-9]{6}$/.test(code) ? code : null
}

export function createTotp({ cipher, clock, random, name }: TotpDeps): Totp {
  return {
    createSecret: () => Secret.fromHex(random.bytes(SECRET_BYTES).toString('hex')).base32,

    uri(secret, username) {
      // A colon separates issuer and username in the label, even if it is escaped.
      const issuer = name.replaceAll(':', ' ').trim()
      return new TOTP({ ...FORMAT, issuer, label: username, secret }).toString()
    },

    stepOf(secret, code) {
      const token = parseTotpCode(code)
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
