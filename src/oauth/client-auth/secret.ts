/**
 * Client secrets. A generated secret has 256 random bits and cannot be guessed, so it is stored as a SHA-256 hash: a slow hash
 * would only slow down every token request. A user-supplied secret is stored like a password.
 */
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
  return HASHED + sha('sha256', secret, 'base64url')
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
  return isGeneratedSecret(secret) ? hashGeneratedSecret(secret) : hashPassword(secret)
}

export function createSecretVerifier(verifyUserSupplied: VerifyUserSuppliedSecret): SecretVerifier {
  return {
    async verify(hash, secret, clientId, ip) {
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
