/**
 * Client secrets. A generated secret has 256 random bits and cannot be guessed, so it is stored as a SHA-256 hash: a slow hash
 * would only slow down every token request. A user-supplied secret is stored like a password.
 */
import { isUtf8 } from 'node:buffer'
import { hash as sha, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Hashing } from '../../accounts/concurrency-limiter.ts'
import { hashPassword } from '../../accounts/password.ts'
import type { ClientSecret } from '../../store/contracts/clients.ts'
import type { Clock, EpochSeconds, Random } from '../../system.ts'
import type { SecretUses } from './secret-uses.ts'

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

/** Whether the secret has not expired. */
export const isGood = ({ expiresAt }: Pick<ClientSecret, 'expiresAt'>, now: EpochSeconds): boolean =>
  expiresAt === null || now < expiresAt

export const isHashOfSuppliedSecret = (hash: string): boolean => !hash.startsWith(HASHED)

/**
 * The hash to store for a secret that an administrator supplies, which may be one that a Keyturn server has generated.
 * @param beside the hash of another supplied secret of the client, if there is one
 */
export async function hashSuppliedSecret(secret: string, hashing: Hashing, beside?: string): Promise<string> {
  const prepared = prepareSecret(secret)
  return isGeneratedSecret(prepared)
    ? hashGeneratedSecret(prepared)
    : hashing(() => hashPassword(prepared, beside))
}

export interface SecretVerifier {
  /**
   * Whether one of the secrets that have not expired is the one that was sent.
   * @param secrets empty if the client is unknown, or may not authenticate with its secret: then the result is false
   */
  verify(secrets: readonly ClientSecret[], sent: string, clientId: string, ip: string): Promise<boolean>
}

/**
 * Verifies user-supplied secrets. They can be guessed, so this uses argon2id, a concurrency limit and a rate limit. Returns the hash
 * that is of the secret. No hash and two hashes cost as much as one.
 */
type VerifyUserSuppliedSecret = (
  hashes: readonly string[],
  secret: string,
  clientId: string,
  ip: string,
) => Promise<string | null>

export interface SecretVerifierDeps {
  readonly verifyUserSupplied: VerifyUserSuppliedSecret
  readonly secretUses: Pick<SecretUses, 'used'>
  readonly clock: Clock
}

export function createSecretVerifier(deps: SecretVerifierDeps): SecretVerifier {
  const { verifyUserSupplied, secretUses, clock } = deps
  return {
    async verify(secrets, sent, clientId, ip) {
      const now = clock.now()
      const secret = prepareSecret(sent)
      const sentHash = Buffer.from(hashGeneratedSecret(secret))
      for (const { id, hash, expiresAt } of secrets) {
        if (expiresAt !== null && now >= expiresAt) continue
        if (!isSame(hash, sentHash)) continue
        secretUses.used(id, now)
        return true
      }
      // Only the form of a wrong secret decides how long its verification takes. Otherwise the time of the response would tell
      // strangers which clients exist, and which of them have a secret that can be guessed.
      if (isGeneratedSecret(secret)) return false
      const supplied = secrets.filter((one) => isGood(one, now) && isHashOfSuppliedSecret(one.hash))
      const hash = await verifyUserSupplied(
        supplied.map((one) => one.hash),
        secret,
        clientId,
        ip,
      )
      const match = supplied.find((one) => one.hash === hash)
      if (match) secretUses.used(match.id, now)
      return match !== undefined
    },
  }
}

function isSame(stored: string, sent: Buffer): boolean {
  const hash = Buffer.from(stored)
  return hash.length === sent.length && timingSafeEqual(hash, sent)
}
