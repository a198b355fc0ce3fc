/**
 * Client secrets. One that the server made has 256 random bits, so a plain SHA-256 keeps it: there is nothing to
 * guess, and a slow hash would only slow down every token. One that somebody chose is kept like a password.
 */
import { hash as sha, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Random } from '../../system.ts'

const PREFIX = 'ktcs_'
const HASHED = 'sha256:'

/** `ktcs_<43 letters of randomness><6 of checksum>`: found by secret scanners, told from noise offline. */
export function makeSecret(random: Pick<Random, 'bytes'>): string {
  const body = random.bytes(32).toString('base64url')
  return `${PREFIX}${body}${checksum(body)}`
}

/** Whether it has the form of a secret that the server makes. */
export function isMadeSecret(secret: string): boolean {
  const body = secret.slice(PREFIX.length, -6)
  return secret.startsWith(PREFIX) && secret.length === PREFIX.length + 49 && secret.endsWith(checksum(body))
}

function checksum(body: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(body))
  return bytes.toString('base64url')
}

export function hashMadeSecret(secret: string): string {
  return HASHED + sha('sha256', secret, 'base64url')
}

export interface SecretVerifier {
  /** `hash` null: the client has no secret. */
  verify(hash: string | null, secret: string, clientId: string, ip: string): Promise<boolean>
}

/** Checks a chosen secret: argon2id behind its gate, and throttled, because it can be guessed. */
export type VerifyChosenSecret = (
  hash: string,
  secret: string,
  clientId: string,
  ip: string,
) => Promise<boolean>

export function createSecretVerifier(verifyChosen: VerifyChosenSecret): SecretVerifier {
  return {
    async verify(hash, secret, clientId, ip) {
      if (hash === null) return false
      if (!hash.startsWith(HASHED)) return verifyChosen(hash, secret, clientId, ip)
      const expected = Buffer.from(hash)
      const digest = Buffer.from(hashMadeSecret(secret))
      return expected.length === digest.length && timingSafeEqual(digest, expected)
    },
  }
}
