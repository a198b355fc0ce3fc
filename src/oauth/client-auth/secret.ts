/**
 * Client secrets. A generated secret has 256 random bits, so it is stored as a plain SHA-256: it cannot be guessed, and a
 * slow hash would only slow down every token request. A user-supplied secret is stored like a password.
 */
import { hash as sha, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Random } from '../../system.ts'

const PREFIX = 'ktcs_'
const HASHED = 'sha256:'

/** `ktcs_<43 random characters><6 of checksum>`: secret scanners find it, and can validate it offline. */
export function generateSecret(random: Pick<Random, 'bytes'>): string {
  const body = random.bytes(32).toString('base64url')
  return `${PREFIX}${body}${checksum(body)}`
}

/** Whether it has the form of a generated secret. */
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
  /** `hash` null: the client has no secret. */
  verify(hash: string | null, secret: string, clientId: string, ip: string): Promise<boolean>
}

/** Verifies a user-supplied secret: with argon2id and limited in number and rate, because it can be guessed. */
export type VerifyUserSuppliedSecret = (
  hash: string,
  secret: string,
  clientId: string,
  ip: string,
) => Promise<boolean>

export function createSecretVerifier(verifyUserSupplied: VerifyUserSuppliedSecret): SecretVerifier {
  return {
    async verify(hash, secret, clientId, ip) {
      if (hash === null) return false
      if (!hash.startsWith(HASHED)) return verifyUserSupplied(hash, secret, clientId, ip)
      const expected = Buffer.from(hash)
      const digest = Buffer.from(hashGeneratedSecret(secret))
      return expected.length === digest.length && timingSafeEqual(digest, expected)
    },
  }
}
