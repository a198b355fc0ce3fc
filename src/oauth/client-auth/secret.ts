/**
 * Client secrets. A generated secret has 256 random bits and cannot be guessed, so it is stored as a SHA-256 hash: a slow hash
 * would only slow down every token request. A user-supplied secret is stored like a password.
 */
import { isUtf8 } from 'node:buffer'
import { hash as sha, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { hashPassword } from '../../accounts/password.ts'
import type { Random } from '../../system.ts'

const PREFIX = 'ktcs_'
const HASHED = 'sha256:'

/** `ktcs_<43 random characters><checksum of 6 characters>`. Secret scanners can find it, and validate it offline. */
export function generateSecret(random: Pick<Random, 'bytes'>): string {
  const body = random.bytes(32).toString('base64url')
  return `${PREFIX}${body}${checksum(body)}`
}

/** Whether the text has the form of a generated secret. */
export function isGeneratedSecret(secret: string): boolean {
  const body = secret.slice(PREFIX.length, -6)
  return secret.startsWith(PREFIX) && secret.length === PREFIX.length + 49 && secret.endsWith(checksum(body))
}

function checksum(body: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(body))
  return bytes.toString('base64url')
}

export function hashGeneratedSecret(secret: string): string {
  return HASHED + sha('sha256', prepareSecret(secret), 'base64url')
}

const [PERCENT, PLUS, SPACE] = [0x25, 0x2b, 0x20]

/**
 * Decodes what form-urlencoding could have encoded, until nothing is left to decode. RFC 6749 §2.3.1 requires clients to encode the
 * secret for the header, and many do not. Both spellings, and the secret itself, have this one result, which is what is hashed. So
 * one hash is enough, and no spelling costs another guess.
 */
export function prepareSecret(secret: string): string {
  if (!/[%+]/.test(secret)) return secret
  const bytes: number[] = []
  for (const byte of Buffer.from(secret)) {
    bytes.push(byte === PLUS ? SPACE : byte)
    // A decoded byte may complete another triplet: `%2541` is `%41`, which is `A`.
    for (let decoded = lastTriplet(bytes); decoded !== null; decoded = lastTriplet(bytes)) {
      bytes.splice(-3, 3, decoded === PLUS ? SPACE : decoded)
    }
  }
  return secretText(Buffer.from(bytes))
}

/** RFC 7617 §2.1: servers that announce no charset get UTF-8 from some clients and ISO-8859-1 from others. */
export const secretText = (bytes: Buffer): string => bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')

/** The byte that the last three bytes encode; null if they are no percent-encoded triplet. */
function lastTriplet(bytes: readonly number[]): number | null {
  if (bytes.at(-3) !== PERCENT) return null
  const digits = String.fromCharCode(...bytes.slice(-2))
  return /^[0-9A-Fa-f]{2}$/.test(digits) ? Number.parseInt(digits, 16) : null
}

export interface SecretVerifier {
  /** Returns false for a null hash. @param hash null if the client is unknown, or may not authenticate with its secret */
  verify(hash: string | null, secret: string, clientId: string, ip: string): Promise<boolean>
}

/**
 * Verifies a user-supplied secret. It can be guessed, so this uses argon2id, a concurrency limit and a rate limit. A null hash
 * costs just as much, and the result is false.
 */
export type VerifyUserSuppliedSecret = (
  hash: string | null,
  secret: string,
  clientId: string,
  ip: string,
) => Promise<boolean>

/** The hash to store for a secret that an administrator supplies, which may be one that a Keyturn server has generated. */
export async function hashSuppliedSecret(secret: string): Promise<string> {
  const prepared = prepareSecret(secret)
  return isGeneratedSecret(prepared) ? hashGeneratedSecret(prepared) : hashPassword(prepared)
}

export function createSecretVerifier(verifyUserSupplied: VerifyUserSuppliedSecret): SecretVerifier {
  return {
    async verify(hash, sent, clientId, ip) {
      const secret = prepareSecret(sent)
      const generated = hash?.startsWith(HASHED) ? hash : null
      if (generated !== null && isSame(generated, hashGeneratedSecret(secret))) return true
      // Only the form of a wrong secret decides how long its verification takes. Otherwise the time of the response would tell
      // strangers which clients exist, and which of them have a secret that can be guessed.
      if (isGeneratedSecret(secret)) return false
      return verifyUserSupplied(generated === null ? hash : null, secret, clientId, ip)
    },
  }
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
