/** Reads a JWK Set (RFC 7517 §5) into keys for verification. A bad key in the set is skipped and does not affect the others. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { type AlgorithmName, isAlgorithmName, signatureAlgorithm } from './signature-algorithms.ts'

export interface VerificationKey {
  readonly kid: string
  /** The only algorithm that this key is used with (RFC 8725 §3.1). */
  readonly alg: AlgorithmName
  readonly key: KeyObject
}

/** Keys by `kid`. */
export type Keys = ReadonlyMap<string, VerificationKey>

/** RFC 7518 §3.3 forbids RSA keys with fewer bits; keys with more bits only cost time. */
const MIN_RSA_BITS = 2048
const MAX_RSA_BITS = 8192
/** With the exponent 1, every number is a valid signature; a huge exponent makes each verification slow. */
const MIN_RSA_EXPONENT = 3n
const MAX_RSA_EXPONENT = 2n ** 32n
/** A larger set is a mistake or an attack; further keys are ignored. */
const MAX_KEYS = 100
/** A longer `kid` is refused, because the kids of missing keys are remembered. A thumbprint has 43 characters. */
export const MAX_KID_LENGTH = 512

/** Returns the usable keys of a JWK Set. @throws {Error} if the document is not a JWK Set */
export function readJwks(document: unknown, accepted: readonly AlgorithmName[]): Keys {
  const keys = (document as { keys?: unknown } | null)?.keys
  if (!Array.isArray(keys)) throw new Error('the JWKS has no keys')
  const found = new Map<string, VerificationKey>()
  for (const jwk of keys) {
    const key = readKey(jwk, accepted)
    // RFC 7517 §4.5 recommends distinct kids. The first of two is kept, so that an appended key cannot replace another.
    if (key && !found.has(key.kid)) found.set(key.kid, key)
    if (found.size === MAX_KEYS) break
  }
  return found
}

function readKey(jwk: unknown, accepted: readonly AlgorithmName[]): VerificationKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  const { kid, kty, crv, use, alg, key_ops: operations } = jwk as Record<string, unknown>
  if (typeof kid !== 'string' || kid === '' || kid.length > MAX_KID_LENGTH) return undefined
  if (use !== undefined && use !== 'sig') return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return undefined
  const name = alg === undefined ? algorithmFor(kty, crv, accepted) : alg
  if (!isAlgorithmName(name) || !accepted.includes(name)) return undefined
  const { kty: keyType, crv: curve } = signatureAlgorithm(name)
  if (keyType !== kty || curve !== crv) return undefined
  try {
    const key = createPublicKey({ key: publicMembers(jwk as Record<string, string>), format: 'jwk' })
    return isStrong(key) ? { kid, alg: name, key } : undefined
  } catch {
    return undefined
  }
}

/** The first accepted algorithm that fits a key without `alg`. */
function algorithmFor(
  kty: unknown,
  crv: unknown,
  accepted: readonly AlgorithmName[],
): AlgorithmName | undefined {
  return accepted.find((one) => signatureAlgorithm(one).kty === kty && signatureAlgorithm(one).crv === crv)
}

/** Whether an RSA key has a usable size and exponent. Every other key that could be imported is strong enough. */
export function isStrong({ asymmetricKeyDetails }: KeyObject): boolean {
  const { modulusLength: bits, publicExponent: exponent } = asymmetricKeyDetails ?? {}
  if (bits === undefined || exponent === undefined) return true
  return (
    bits >= MIN_RSA_BITS &&
    bits <= MAX_RSA_BITS &&
    exponent >= MIN_RSA_EXPONENT &&
    exponent <= MAX_RSA_EXPONENT
  )
}

/** Leaves out private members and certificates, which a published key must not have and a verifier does not need. */
export function publicMembers({ kty, n, e, crv, x, y }: Record<string, string>) {
  return Object.fromEntries(
    Object.entries({ kty, n, e, crv, x, y }).filter(([, value]) => value !== undefined),
  )
}
