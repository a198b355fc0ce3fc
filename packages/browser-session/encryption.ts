/** Seals values with AES-256-GCM: nobody without the secret can read, change or move them to another place. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'

/** What is sealed. Each has a key of its own, so that one cannot stand in for another. */
export type Purpose = 'session' | 'session-id' | 'stored-session' | 'seen' | 'transaction' | 'logout'

export interface Sealer {
  /** `place` says where the value belongs: it opens nowhere else. */
  seal(purpose: Purpose, place: string, value: unknown): string
  /** Undefined for whatever was not sealed by `seal` for this purpose and place, under a secret still held. */
  open(purpose: Purpose, place: string, sealed: string): unknown
}

const ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16
const SECRET_BYTES = 32

/** Seals under the first secret, opens under each. `owner` keeps apps that share a secret apart. */
export function sealer(secrets: readonly Uint8Array[], owner: string): Sealer {
  const rings = secrets.map((secret) => {
    const keys = new Map<Purpose, Buffer>()
    return {
      id: derive(secret, 'id').subarray(0, ID_BYTES),
      key(purpose: Purpose) {
        const key = keys.get(purpose) ?? derive(secret, purpose)
        keys.set(purpose, key)
        return key
      },
    }
  })
  const bound = (purpose: Purpose, place: string) => Buffer.from(JSON.stringify([purpose, owner, place]))

  return {
    seal(purpose, place, value) {
      const [ring] = rings
      if (ring === undefined) throw new TypeError('no secret to seal with')
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', ring.key(purpose), nonce).setAAD(bound(purpose, place))
      const text = Buffer.concat([cipher.update(JSON.stringify(value)), cipher.final()])
      return Buffer.concat([ring.id, nonce, text, cipher.getAuthTag()]).toString('base64url')
    },

    open(purpose, place, sealed) {
      const bytes = Buffer.from(sealed, 'base64url')
      if (bytes.length < ID_BYTES + NONCE_BYTES + TAG_BYTES) return undefined
      // Node.js skips what is no base64url, and the bits that a last character has too many: one value, one text.
      if (bytes.toString('base64url') !== sealed) return undefined
      const ring = rings.find(({ id }) => id.equals(bytes.subarray(0, ID_BYTES)))
      if (ring === undefined) return undefined
      const nonce = bytes.subarray(ID_BYTES, ID_BYTES + NONCE_BYTES)
      const decipher = createDecipheriv('aes-256-gcm', ring.key(purpose), nonce, { authTagLength: TAG_BYTES })
        .setAAD(bound(purpose, place))
        .setAuthTag(bytes.subarray(-TAG_BYTES))
      try {
        const text = [decipher.update(bytes.subarray(ID_BYTES + NONCE_BYTES, -TAG_BYTES)), decipher.final()]
        return JSON.parse(Buffer.concat(text).toString())
      } catch {
        return undefined
      }
    },
  }
}

/** As given in options: bytes, or base64url or base64 of them. @throws {TypeError} */
export function secretBytes(secret: string | Uint8Array): Uint8Array {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'base64url') : secret
  if (bytes.length !== SECRET_BYTES) throw new TypeError(`secret must be ${SECRET_BYTES} bytes`)
  return bytes
}

function derive(secret: Uint8Array, what: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `@keyturn/browser-session ${what}`, SECRET_BYTES))
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** 256 bits that nobody guesses. */
export function randomId(): string {
  return randomBytes(32).toString('base64url')
}
