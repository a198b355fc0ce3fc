/**
 * Encrypts values that must be read again: private keys, data keys, second factors, values that a browser carries. Every
 * ciphertext names the key that it was made with. Each purpose has its own key, derived by HKDF (RFC 5869) from a master key or
 * from a data key, so that no ciphertext or MAC of one purpose is accepted for another. Must not know where keys are stored.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { KeyturnError } from '../errors.ts'
import type { Random } from '../system.ts'

/** Purposes of keys that are derived from a master key. */
export type MasterKeyPurpose = 'keyturn/private-keys/v1' | 'keyturn/data-keys/v1' | 'keyturn/master-key-id/v1'

/** Purposes of keys that are derived from a data key. */
export type DataKeyPurpose =
  | 'keyturn/refresh-tokens/v1'
  | 'keyturn/rate-limits/v1'
  | 'keyturn/status-indices/v1'
  | 'keyturn/second-factors/v1'
  | 'keyturn/recovery-codes/v1'
  | 'keyturn/one-time-state/v1'
  | 'keyturn/flows/v1'
  | 'keyturn/pushed-requests/v1'
  | 'keyturn/csrf/v1'
  | 'keyturn/dpop-nonces/v1'
  | 'keyturn/idempotency/v1'
  | 'keyturn/audit-head/v1'

type Purpose = MasterKeyPurpose | DataKeyPurpose

export function deriveKey(secret: Uint8Array, purpose: Purpose): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, new Uint8Array(0), purpose, 32)))
}

/** A key and the id by which ciphertexts and MACs name it. The id is letters, digits, `-` and `_`. */
export interface NamedKey {
  readonly id: string
  readonly key: KeyObject
}

/** Finds the key that a ciphertext or a MAC names; undefined if this process does not have it, or no longer accepts it. */
export type FindKey = (id: string) => KeyObject | undefined

/** The ciphertext names a key that this process does not have, is damaged, or belongs to something else. */
export class DecryptionError extends KeyturnError<'decryption_failed'> {
  constructor(value: string, reason: string, cause?: unknown) {
    super('decryption_failed', `${value} cannot be decrypted: ${reason}`, { cause })
  }
}

export interface Cipher {
  /** @param context what the text belongs to, such as a kid; it is authenticated and not part of the ciphertext */
  encrypt(context: string, plaintext: string): string
  /** @throws {DecryptionError} if the text cannot be decrypted, or was encrypted for another context */
  decrypt(context: string, ciphertext: string): string
}

/** What error messages call the encrypted value, which is followed by its context, and the key, which is followed by its id. */
export interface CipherNames {
  readonly value: string
  readonly keyName: 'the master key' | 'the data key'
}

interface CipherKeys {
  /** Called for every encryption, because keys change while the server runs. */
  readonly current: () => NamedKey
  readonly find: FindKey
}

export function createCipher(keys: CipherKeys, random: Pick<Random, 'bytes'>, names: CipherNames): Cipher {
  return {
    encrypt: (context, plaintext) => encrypt(keys.current(), context, plaintext, random),
    decrypt: (context, ciphertext) => decrypt(keys.find, context, ciphertext, names),
  }
}

const FORMAT = 'v1'
const KEY_ID = /^[\w-]{1,32}$/
const IV_BYTES = 12
const TAG_BYTES = 16

/** AES-256-GCM (NIST SP 800-38D). @returns `v1.<key id>.<iv>.<ciphertext and tag>` */
export function encrypt(
  { id, key }: NamedKey,
  context: string,
  plaintext: string,
  random: Pick<Random, 'bytes'>,
): string {
  const iv = random.bytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(associatedData(id, context))
  const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return [FORMAT, id, iv.toString('base64url'), body.toString('base64url')].join('.')
}

/**
 * Decrypts with the key that the text names, and tries no other.
 * @throws {DecryptionError}
 */
export function decrypt(
  find: FindKey,
  context: string,
  ciphertext: string,
  { value, keyName }: CipherNames,
): string {
  const name = `${value} ${context}`
  const parts = partsOf(ciphertext)
  if (!parts) throw new DecryptionError(name, 'the text is damaged')
  const { keyId, iv, body } = parts
  const key = find(keyId)
  if (!key) throw missingKey(name, keyName, keyId)
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
    decipher.setAAD(associatedData(keyId, context)).setAuthTag(body.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(body.subarray(0, -TAG_BYTES)), decipher.final()]).toString('utf8')
  } catch (error) {
    throw new DecryptionError(name, 'the text is damaged or belongs to something else', error)
  }
}

export function missingKey(name: string, keyName: CipherNames['keyName'], keyId: string): DecryptionError {
  return new DecryptionError(name, `it is encrypted under ${keyName} ${keyId}, which is not available here`)
}

/** The id of the key that a text was encrypted with, if it is a ciphertext. */
export function keyIdOf(ciphertext: string): string | undefined {
  return partsOf(ciphertext)?.keyId
}

/**
 * Contains the context, so that a ciphertext cannot be moved to another row. A key id has no dot, so the encoding is unambiguous.
 */
const associatedData = (keyId: string, context: string): Buffer =>
  Buffer.from(`${FORMAT}.${keyId}.${context}`)

interface Parts {
  readonly keyId: string
  readonly iv: Buffer
  readonly body: Buffer
}

function partsOf(ciphertext: string): Parts | undefined {
  const [format, keyId = '', ivText, bodyText, ...rest] = ciphertext.split('.')
  const [iv, body] = [decodeExactly(ivText), decodeExactly(bodyText)]
  if (format !== FORMAT || !KEY_ID.test(keyId) || rest.length > 0) return undefined
  if (iv?.length !== IV_BYTES || !body || body.length < TAG_BYTES) return undefined
  return { keyId, iv, body }
}

/** Base64url has several encodings of the same bytes. Only the one that `encrypt` writes is accepted. */
function decodeExactly(text: string | undefined): Buffer | undefined {
  const decoded = Buffer.from(text ?? '', 'base64url')
  return decoded.toString('base64url') === text ? decoded : undefined
}
