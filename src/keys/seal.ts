/**
 * What the master key is for: sealing private keys at rest, and keying the MAC of refresh tokens. Each use has
 * a key of its own, derived by HKDF (RFC 5869), so that neither can stand in for the other.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import type { Random } from '../system.ts'

export type Purpose =
  | 'keyturn/seal-private-keys/v1'
  | 'keyturn/refresh-token-mac/v1'
  | 'keyturn/throttle-key/v1'
  | 'keyturn/status-index/v1'

export function deriveKey(masterKey: Uint8Array, purpose: Purpose): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, new Uint8Array(0), purpose, 32))
}

/** The text does not open under this key: another master key, another kid, or a damaged row. */
export class SealBroken extends Error {
  constructor(kid: string, cause?: unknown) {
    super(`the private key ${kid} does not open with this master key`, { cause })
    this.name = 'SealBroken'
  }
}

export interface Sealer {
  seal(kid: string, plain: string): string
  /** @throws {SealBroken} */
  open(kid: string, sealed: string): string
}

const FORMAT = 'v1'
const IV_BYTES = 12
const TAG_BYTES = 16

/** AES-256-GCM with the kid as associated data, so that one row's seal cannot be moved to another row. */
export function createSealer(masterKey: Uint8Array, random: Pick<Random, 'bytes'>): Sealer {
  const key = deriveKey(masterKey, 'keyturn/seal-private-keys/v1')
  return {
    seal(kid, plain) {
      const iv = random.bytes(IV_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(kid))
      const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return [FORMAT, iv.toString('base64url'), body.toString('base64url')].join('.')
    },

    open(kid, sealed) {
      const [format, iv, body, ...rest] = sealed.split('.')
      const [nonce, box] = [bytes(iv), bytes(body)]
      if (
        format !== FORMAT ||
        nonce?.length !== IV_BYTES ||
        !box ||
        box.length <= TAG_BYTES ||
        rest.length > 0
      )
        throw new SealBroken(kid)
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
        decipher.setAAD(Buffer.from(kid)).setAuthTag(box.subarray(-TAG_BYTES))
        return Buffer.concat([decipher.update(box.subarray(0, -TAG_BYTES)), decipher.final()]).toString(
          'utf8',
        )
      } catch (error) {
        throw new SealBroken(kid, error)
      }
    },
  }
}

/** Only the one spelling that we write; base64url has several for the same bytes. */
function bytes(text: string | undefined): Buffer | undefined {
  const decoded = Buffer.from(text ?? '', 'base64url')
  return decoded.toString('base64url') === text ? decoded : undefined
}
