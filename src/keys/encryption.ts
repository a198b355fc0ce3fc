/**
 * Sealing what must be read again (private keys, roots, second factors, what a browser carries for us). Each use has a key
 * of its own, derived by HKDF (RFC 5869) from the master key or from a root, so that none can stand in for another.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { KeyturnError } from '../errors.ts'
import type { Random } from '../system.ts'

/** What the master key itself is for. */
export type MasterPurpose =
  | 'keyturn/seal-private-keys/v1'
  | 'keyturn/seal-roots/v1'
  | 'keyturn/fingerprint/v1'

/** What a root is for. */
export type RootPurpose =
  | 'keyturn/refresh-token-mac/v1'
  | 'keyturn/throttle-key/v1'
  | 'keyturn/status-index/v1'
  | 'keyturn/seal-second-factors/v1'
  | 'keyturn/recovery-codes/v1'
  | 'keyturn/seal-flows/v1'
  | 'keyturn/csrf/v1'
  | 'keyturn/audit-head/v1'

export type Purpose = MasterPurpose | RootPurpose

export function deriveKey(secret: Uint8Array, purpose: Purpose): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, new Uint8Array(0), purpose, 32))
}

/** The text opens under none of the keys: another master key, another label, or a damaged row. */
export class SealBroken extends KeyturnError<'decryption_failed'> {
  constructor(what: string, cause?: unknown) {
    super('decryption_failed', `${what} does not open with this master key`, { cause })
  }
}

/** A text and whose it is. */
export interface Specimen {
  readonly label: string
  readonly sealed: string
}

export interface Sealer {
  /**
   * @param label whose it is, such as a kid: a seal does not open under another
   * @param like of several keys, the one that opens any of these
   */
  seal(label: string, plain: string, like?: readonly Specimen[]): string
  /** @throws {SealBroken} */
  open(label: string, sealed: string): string
}

export interface Sealed<P extends Purpose = RootPurpose> {
  readonly purpose: P
  /** For messages; the label follows. */
  readonly what: string
}

export const PRIVATE_KEYS: Sealed<MasterPurpose> = {
  purpose: 'keyturn/seal-private-keys/v1',
  what: 'the private key',
}

const FORMAT = 'v1'
const IV_BYTES = 12
const TAG_BYTES = 16

export function createSealer(
  secret: Uint8Array,
  random: Pick<Random, 'bytes'>,
  { purpose, what }: Sealed<Purpose> = PRIVATE_KEYS,
): Sealer {
  const key = createSecretKey(deriveKey(secret, purpose))
  return createSealerOf(() => [key], random, what)
}

/** Opens with any of the keys, and seals with the first. They are asked for each time, because they change. */
export function createSealerOf(
  keys: () => readonly KeyObject[],
  random: Pick<Random, 'bytes'>,
  what: string,
): Sealer {
  /** The text, and the key that opens it. */
  function unseal(label: string, sealed: string): [string, KeyObject] {
    let cause: unknown
    const parts = partsOf(sealed)
    for (const key of parts ? keys() : []) {
      try {
        return [decrypt(key, label, parts as Parts), key]
      } catch (error) {
        cause = error
      }
    }
    throw new SealBroken(`${what} ${label}`, cause)
  }

  function keyOfAny(specimens: readonly Specimen[]): KeyObject | undefined {
    let broken: unknown
    for (const { label, sealed } of specimens) {
      try {
        return unseal(label, sealed)[1]
      } catch (error) {
        broken ??= error
      }
    }
    throw broken
  }

  return {
    seal(label, plain, like) {
      const key = like ? keyOfAny(like) : keys()[0]
      if (!key) throw new Error('there is no key to seal with')
      return encrypt(key, label, plain, random.bytes(IV_BYTES))
    },
    open: (label, sealed) => unseal(label, sealed)[0],
  }
}

/** AES-256-GCM with the label as associated data, so that one row's seal cannot be moved to another row. */
function encrypt(key: KeyObject, label: string, plain: string, iv: Buffer): string {
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(label))
  const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return [FORMAT, iv.toString('base64url'), body.toString('base64url')].join('.')
}

interface Parts {
  readonly iv: Buffer
  readonly box: Buffer
}

function partsOf(sealed: string): Parts | undefined {
  const [format, nonce, body, ...rest] = sealed.split('.')
  const [iv, box] = [bytes(nonce), bytes(body)]
  if (format !== FORMAT || iv?.length !== IV_BYTES || !box || box.length <= TAG_BYTES || rest.length > 0)
    return undefined
  return { iv, box }
}

function decrypt(key: KeyObject, label: string, { iv, box }: Parts): string {
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(label)).setAuthTag(box.subarray(-TAG_BYTES))
  return Buffer.concat([decipher.update(box.subarray(0, -TAG_BYTES)), decipher.final()]).toString('utf8')
}

/** Only the one spelling that we write; base64url has several for the same bytes. */
function bytes(text: string | undefined): Buffer | undefined {
  const decoded = Buffer.from(text ?? '', 'base64url')
  return decoded.toString('base64url') === text ? decoded : undefined
}
