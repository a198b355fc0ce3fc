/** Encrypts values with AES-256-GCM: without the secret, a value cannot be read, changed or used in another place. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'

/** What is encrypted. Each purpose has a key of its own, so that a value of one is not accepted as another. */
type Purpose = 'session' | 'session-id' | 'stored-session' | 'last-use' | 'sign-in' | 'logout'

export interface Encryption {
  /** `place` says where the value belongs, such as the name of its cookie. It decrypts only there. */
  encrypt(purpose: Purpose, place: string, value: unknown): string
  /** Returns undefined unless the text was encrypted for this purpose and place, with one of the secrets. */
  decrypt(purpose: Purpose, place: string, encrypted: string): unknown
}

const ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16
const SECRET_BYTES = 32

/**
 * Encrypts with the first secret and decrypts with each. An encrypted value begins with the id of its secret. `owner`
 * keeps the values of two apps with the same secret apart.
 */
export function createEncryption(secrets: readonly Uint8Array[], owner: string): Encryption {
  const keySets = secrets.map((secret) => {
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
  const additionalData = (purpose: Purpose, place: string) =>
    Buffer.from(JSON.stringify([purpose, owner, place]))

  return {
    encrypt(purpose, place, value) {
      const [current] = keySets
      if (current === undefined) throw new TypeError('there is no secret to encrypt with')
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', current.key(purpose), nonce).setAAD(
        additionalData(purpose, place),
      )
      const text = Buffer.concat([cipher.update(JSON.stringify(value)), cipher.final()])
      return Buffer.concat([current.id, nonce, text, cipher.getAuthTag()]).toString('base64url')
    },

    decrypt(purpose, place, encrypted) {
      const bytes = Buffer.from(encrypted, 'base64url')
      if (bytes.length < ID_BYTES + NONCE_BYTES + TAG_BYTES) return undefined
      // Node.js skips characters that are not base64url and unused bits of the last one. One value must have one text.
      if (bytes.toString('base64url') !== encrypted) return undefined
      const keySet = keySets.find(({ id }) => id.equals(bytes.subarray(0, ID_BYTES)))
      if (keySet === undefined) return undefined
      const nonce = bytes.subarray(ID_BYTES, ID_BYTES + NONCE_BYTES)
      const decipher = createDecipheriv('aes-256-gcm', keySet.key(purpose), nonce, {
        authTagLength: TAG_BYTES,
      })
        .setAAD(additionalData(purpose, place))
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

/** Reads a secret from the options: 32 bytes, or their base64url or base64. @throws {TypeError} */
export function secretBytes(secret: string | Uint8Array): Uint8Array {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'base64url') : secret
  if (bytes.length !== SECRET_BYTES) throw new TypeError(`secret must be ${SECRET_BYTES} bytes`)
  return bytes
}

function derive(secret: Uint8Array, use: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `@keyturn/browser-session ${use}`, SECRET_BYTES))
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** Returns 256 random bits in base64url, which no one can guess. */
export function randomId(): string {
  return randomBytes(32).toString('base64url')
}
