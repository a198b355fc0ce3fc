/**
 * Which public keys clients may use for assertions and signed requests (RFC 7591 §2): one rule for registered keys (`jwks`) and
 * for those that the server fetches (`jwks_uri`). Pure.
 */
import { createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { MAX_CERTIFICATE_BYTES, parseCertificate } from '../mtls/presented-certificate.ts'
import { RegistrationError } from './registration-error.ts'

/**
 * Only asymmetric algorithms are accepted: a shared secret can be guessed, and a public key must never be used as one (RFC 8725
 * §3.1).
 */
export const CLIENT_ALGORITHMS: readonly string[] = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']

type Jwk = Record<string, unknown>

/** For each `kty`, this table has the members of a public key, the supported curve, and the supported algorithms. */
const KEY_TYPES: Record<string, { members: readonly string[]; crv?: string; algorithms: readonly string[] }> =
  {
    RSA: { members: ['n', 'e'], algorithms: ['RS256', 'PS256'] },
    EC: { members: ['crv', 'x', 'y'], crv: 'P-256', algorithms: ['ES256'] },
    OKP: { members: ['crv', 'x'], crv: 'Ed25519', algorithms: ['EdDSA', 'Ed25519'] },
  }

/** Members of private and symmetric keys (RFC 7518 §6.2.2, §6.3.2, §6.4.1), and `priv` of post-quantum keys. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

const MAX_KEYS = 10
/** In one `x5c`: the certificate and the intermediates that issued it. */
const MAX_CERTIFICATES = 6
const MIN_RSA_BITS = 2048
/** This server verifies the signatures, and larger keys make that slower. */
const MAX_RSA_BITS = 8192
/** The time of a verification grows with the length of the exponent, which is 65537 in almost every key. */
const MAX_RSA_EXPONENT = 2n ** 32n - 1n

/** A key with which this server verifies no signature: for another purpose, or of another type. It harms nothing beside a usable key. */
class OtherKind extends RegistrationError {}

/**
 * Returns the keys with only their public members. Keys of another kind are left out, because clients publish one set for all purposes.
 * @throws {RegistrationError} unless there is a usable key, and all others are sound public keys with different `kid`s
 */
export function parseClientJwks(document: unknown): { keys: Jwk[] } {
  const keys = keysOf(document)
  if (keys.length === 0) throw refuse('must be a JWK Set: {"keys": […]}')
  let first: OtherKind | undefined
  const parsed = keys.flatMap((key) => {
    try {
      return [parseClientKey(key)]
    } catch (error) {
      if (!(error instanceof OtherKind)) throw error
      first ??= error
      return []
    }
  })
  if (parsed.length === 0 && first) throw first
  const kids = parsed.map((key) => key.kid)
  if (parsed.length > 1 && (kids.includes(undefined) || new Set(kids).size < kids.length)) {
    throw refuse('must give each key a different kid (RFC 7517 §4.5)')
  }
  return { keys: parsed }
}

/**
 * The keys of a fetched document that could be registered. Others are left out: a client may publish keys for other purposes.
 * @throws {RegistrationError} unless it is a JWK Set with at most as many keys as can be registered
 */
export function usableClientJwks(document: unknown): { keys: Jwk[] } {
  const usable = keysOf(document).flatMap((key) => {
    try {
      return [parseClientKey(key)]
    } catch (error) {
      if (error instanceof RegistrationError) return []
      throw error
    }
  })
  return { keys: usable }
}

function keysOf(document: unknown): Jwk[] {
  const keys = (document as { keys?: unknown } | null)?.keys
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'object' && key !== null))
    throw refuse('must be a JWK Set: {"keys": […]}')
  if (keys.length > MAX_KEYS) throw refuse(`must have at most ${MAX_KEYS} keys`)
  return keys
}

/**
 * The rule for every public key with which this server verifies a client's signature. Returns the key with only its public members.
 * @throws {RegistrationError}
 */
export function parseSigningKey(key: Readonly<Jwk>): { jwk: Jwk; publicKey: KeyObject } {
  // Checked first, and the value is not repeated: a private key must not get into messages and logs.
  if (PRIVATE_MEMBERS.some((member) => key[member] !== undefined)) {
    throw refuse('has a private or symmetric key: register only the public key')
  }
  const keyType = Object.hasOwn(KEY_TYPES, String(key.kty)) ? KEY_TYPES[String(key.kty)] : undefined
  if (!keyType || (keyType.crv && key.crv !== keyType.crv)) {
    throw otherKind('has a key that is neither RSA, nor EC on P-256, nor Ed25519')
  }
  if (key.use !== undefined && key.use !== 'sig') throw otherKind('has a key whose use is not sig')
  if (key.alg !== undefined && !keyType.algorithms.includes(String(key.alg))) {
    throw otherKind(`has a key whose alg is not one of ${CLIENT_ALGORITHMS.join(', ')} for its kty`)
  }
  if (key.kid !== undefined && (typeof key.kid !== 'string' || key.kid === '')) {
    throw refuse('has a kid that is not a string')
  }
  const members = ['kty', ...keyType.members, 'kid', 'use', 'alg'].filter((name) => key[name] !== undefined)
  const publicJwk = Object.fromEntries(members.map((name) => [name, key[name]]))
  return { jwk: publicJwk, publicKey: importUsable(publicJwk) }
}

/** Certificates that are not wholly sound are left out, because signatures are verified without them. */
function parseClientKey(key: Jwk): Jwk {
  const { jwk, publicKey } = parseSigningKey(key)
  return isCertificateOf(key.x5c, publicKey) ? { ...jwk, x5c: key.x5c } : jwk
}

/** RFC 7517 §4.7: the first certificate has the key of the JWK. A client with `self_signed_tls_client_auth` is known by it. */
function isCertificateOf(x5c: unknown, publicKey: KeyObject): boolean {
  if (!Array.isArray(x5c) || x5c.length > MAX_CERTIFICATES) return false
  const certificates = x5c.map(certificateOf)
  return !certificates.includes(null) && certificates[0]?.publicKey.equals(publicKey) === true
}

function certificateOf(text: unknown): X509Certificate | null {
  if (typeof text !== 'string' || text.length > MAX_CERTIFICATE_BYTES * 2) return null
  const der = Buffer.from(text, 'base64')
  return der.toString('base64') === text ? parseCertificate(der) : null
}

/** The certificates of the clients that present them in TLS: the first of each `x5c`, in base64. */
export const certificatesIn = ({ keys }: { readonly keys: readonly Jwk[] }): ReadonlySet<unknown> =>
  new Set(keys.flatMap(({ x5c }) => (Array.isArray(x5c) ? x5c.slice(0, 1) : [])))

function importUsable(jwk: Jwk): KeyObject {
  let publicKey: KeyObject
  try {
    publicKey = createPublicKey({ key: jwk, format: 'jwk' })
  } catch (error) {
    throw refuse('has a key that cannot be read', error)
  }
  if (jwk.kty !== 'RSA') return publicKey
  const { modulusLength = 0, publicExponent = 0n } = publicKey.asymmetricKeyDetails ?? {}
  if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) {
    throw refuse(
      `has an RSA key whose size is not between ${MIN_RSA_BITS} and ${MAX_RSA_BITS} bits (RFC 7518 §3.3)`,
    )
  }
  if (publicExponent < 3n || publicExponent > MAX_RSA_EXPONENT || publicExponent % 2n === 0n) {
    throw refuse('has an RSA key whose exponent is not an odd number between 3 and 2^32-1 (RFC 8017 §3.1)')
  }
  return publicKey
}

const otherKind = (why: string): OtherKind => new OtherKind(`JWKS ${why}`)

function refuse(why: string, cause?: unknown): RegistrationError {
  return new RegistrationError(`JWKS ${why}`, 'invalid_client_metadata', cause)
}
