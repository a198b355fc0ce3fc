/** Which keys a client may register to sign its assertions with (RFC 7591 §2, `jwks` and `jwks_uri`). */
import { createPublicKey } from 'node:crypto'
import { CLIENT_ALGORITHMS } from '../client-auth/client-jwt.ts'
import { RegistrationError } from './registration-error.ts'

type Jwk = Record<string, unknown>

/** By `kty`: the members that are the public key, and the curve that our algorithms use. */
const KINDS: Record<string, { members: readonly string[]; crv?: string; algorithms: readonly string[] }> = {
  RSA: { members: ['n', 'e'], algorithms: ['RS256', 'PS256'] },
  EC: { members: ['crv', 'x', 'y'], crv: 'P-256', algorithms: ['ES256'] },
  OKP: { members: ['crv', 'x'], crv: 'Ed25519', algorithms: ['EdDSA', 'Ed25519'] },
}

/** RFC 7518 §6.2.2, §6.3.2, §6.4.1; `priv` of post-quantum keys. */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

const MOST_KEYS = 20
const SMALLEST_RSA = 2048
/** Larger ones are nobody's, and each assertion would cost us the check. */
const LARGEST_RSA = 8192

/**
 * The keys with nothing but what is needed of them.
 * @throws {RegistrationError} unless all are public keys that can sign assertions, told apart by `kid`
 */
export function parseClientJwks(document: unknown): { keys: Jwk[] } {
  const keys = (document as { keys?: unknown } | null)?.keys
  if (!Array.isArray(keys) || keys.length === 0) throw refuse('must be a JWK Set: {"keys": […]}')
  if (keys.length > MOST_KEYS) throw refuse(`must have at most ${MOST_KEYS} keys`)
  const parsed = keys.map(parseKey)
  const kids = parsed.map((key) => key.kid)
  if (parsed.length > 1 && (kids.includes(undefined) || new Set(kids).size < kids.length)) {
    throw refuse('must give each key a kid of its own (RFC 7517 §4.5)')
  }
  return { keys: parsed }
}

function parseKey(value: unknown): Jwk {
  const key = (typeof value === 'object' && value !== null ? value : {}) as Jwk
  // First of all, and without a word of what was found: it has been in places where it should not be.
  if (PRIVATE.some((member) => key[member] !== undefined)) {
    throw refuse('has a private or symmetric key: register the public half alone')
  }
  const kind = Object.hasOwn(KINDS, String(key.kty)) ? KINDS[String(key.kty)] : undefined
  if (!kind || (kind.crv && key.crv !== kind.crv)) {
    throw refuse('has a key that is neither RSA, nor EC on P-256, nor Ed25519')
  }
  if (key.use !== undefined && key.use !== 'sig') throw refuse('has a key whose use is not sig')
  if (key.alg !== undefined && !kind.algorithms.includes(String(key.alg))) {
    throw refuse(`has a key whose alg is not one of ${CLIENT_ALGORITHMS.join(', ')} that it fits`)
  }
  if (key.kid !== undefined && (typeof key.kid !== 'string' || key.kid === '')) {
    throw refuse('has a kid that is not a string')
  }
  const members = ['kty', ...kind.members, 'kid', 'use', 'alg'].filter((name) => key[name] !== undefined)
  const picked = Object.fromEntries(members.map((name) => [name, key[name]]))
  assertUsable(picked)
  return picked
}

function assertUsable(jwk: Jwk): void {
  let details: { modulusLength?: number; publicExponent?: bigint } | undefined
  try {
    details = createPublicKey({ key: jwk, format: 'jwk' }).asymmetricKeyDetails
  } catch (error) {
    throw refuse('has a key that cannot be read', error)
  }
  if (jwk.kty !== 'RSA') return
  const { modulusLength = 0, publicExponent = 0n } = details ?? {}
  if (modulusLength < SMALLEST_RSA || modulusLength > LARGEST_RSA || publicExponent < 3n) {
    throw refuse(`has an RSA key that is not of ${SMALLEST_RSA} to ${LARGEST_RSA} bits (RFC 7518 §3.3)`)
  }
}

function refuse(why: string, cause?: unknown): RegistrationError {
  return new RegistrationError(`JWKS ${why}`, 'invalid_client_metadata', cause)
}
