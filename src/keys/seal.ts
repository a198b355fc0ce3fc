/**
 * What the master key is for: sealing what must be read again (private keys, second factors, what a browser
 * carries for us), and keying MACs. Each use has a key of its own, derived by HKDF (RFC 5869), so that none can
 * stand in for another.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import type { Random } from '../system.ts'

export type Purpose =
  | 'keyturn/seal-private-keys/v1'
  | 'keyturn/refresh-token-mac/v1'
  | 'keyturn/throttle-key/v1'
  | 'keyturn/status-index/v1'
  | 'keyturn/seal-second-factors/v1'
  | 'keyturn/recovery-codes/v1'
  | 'keyturn/seal-flows/v1'
  | 'keyturn/csrf/v1'
  | 'keyturn/audit-head/v1'

export function deriveKey(masterKey: Uint8Array, purpose: Purpose): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, new Uint8Array(0), purpose, 32))
}

/** The text does not open under this key: another master key, another label, or a damaged row. */
export class SealBroken extends Error {
  constructor(what: string, cause?: unknown) {
    super(`${what} does not open with this master key`, { cause })
    this.name = 'SealBroken'
  }
}

export interface Sealer {
  /** @param label whose it is, such as a kid: a seal does not open under another */
  seal(label: string, plain: string): string
  /** @throws {SealBroken} */
  open(label: string, sealed: string): string
}

export interface Sealed {
  readonly purpose: Purpose
  /** For messages; the label follows. */
  readonly what: string
}

const PRIVATE_KEYS: Sealed = { purpose: 'keyturn/seal-private-keys/v1', what: 'the private key' }

const FORMAT = 'v1'
const IV_BYTES = 12
const TAG_BYTES = 16

/** AES-256-GCM with the label as associated data, so that one row's seal cannot be moved to another row. */
export function createSealer(
  masterKey: Uint8Array,
  random: Pick<Random, 'bytes'>,
  { purpose, what }: Sealed = PRIVATE_KEYS,
): Sealer {
  const key = deriveKey(masterKey, purpose)
  return {
    seal(label, plain) {
      const iv = random.bytes(IV_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(label))
      const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return [FORMAT, iv.toString('base64url'), body.toString('base64url')].join('.')
    },

    open(label, sealed) {
      const [format, iv, body, ...rest] = sealed.split('.')
      const [nonce, box] = [bytes(iv), bytes(body)]
      if (
        format !== FORMAT ||
        nonce?.length !== IV_BYTES ||
        !box ||
        box.length <= TAG_BYTES ||
        rest.length > 0
      )
        throw new SealBroken(`${what} ${label}`)
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
        decipher.setAAD(Buffer.from(label)).setAuthTag(box.subarray(-TAG_BYTES))
        return Buffer.concat([decipher.update(box.subarray(0, -TAG_BYTES)), decipher.final()]).toString(
          'utf8',
        )
      } catch (error) {
        throw new SealBroken(`${what} ${label}`, error)
      }
    },
  }
}

/** Only the one spelling that we write; base64url has several for the same bytes. */
function bytes(text: string | undefined): Buffer | undefined {
  const decoded = Buffer.from(text ?? '', 'base64url')
  return decoded.toString('base64url') === text ? decoded : undefined
}
