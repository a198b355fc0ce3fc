/** A JWK Set (RFC 7517 §5) → keys that may verify. One bad key in it must not take the good ones along. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { type AlgorithmName, algorithm, isAlgorithm } from './algorithms.ts'

export interface VerificationKey {
  readonly kid: string
  /** The only algorithm this key is used with. */
  readonly alg: AlgorithmName
  readonly key: KeyObject
}

/** RFC 7518 §3.3: RSA keys of fewer bits are no keys. */
const SMALLEST_RSA = 2048
const LARGEST_RSA = 8192
/** A set larger than this is a mistake or an attack. */
const MOST_KEYS = 100

/** What was wrong with the others is nobody's business but the issuer's. */
export function readJwks(
  document: unknown,
  accepted: readonly AlgorithmName[],
): Map<string, VerificationKey> {
  const keys = (document as { keys?: unknown } | null)?.keys
  if (!Array.isArray(keys)) throw new Error('the JWKS has no keys')
  const found = new Map<string, VerificationKey>()
  for (const jwk of keys.slice(0, MOST_KEYS)) {
    const key = readKey(jwk, accepted)
    // RFC 7517 §4.5 wants distinct kids; of two the first counts, so that an appended key replaces none.
    if (key && !found.has(key.kid)) found.set(key.kid, key)
  }
  return found
}

function readKey(jwk: unknown, accepted: readonly AlgorithmName[]): VerificationKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  const { kid, kty, crv, use, alg, key_ops: operations } = jwk as Record<string, unknown>
  if (typeof kid !== 'string' || kid === '') return undefined
  if (use !== undefined && use !== 'sig') return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return undefined
  const name = alg ?? accepted.find((one) => algorithm(one).kty === kty && algorithm(one).crv === crv)
  if (!isAlgorithm(name) || !accepted.includes(name)) return undefined
  const row = algorithm(name)
  if (row.kty !== kty || (row.crv !== undefined && row.crv !== crv)) return undefined
  try {
    const key = createPublicKey({ key: publicMembers(jwk as Record<string, string>), format: 'jwk' })
    const bits = key.asymmetricKeyDetails?.modulusLength
    if (bits !== undefined && (bits < SMALLEST_RSA || bits > LARGEST_RSA)) return undefined
    return { kid, alg: name, key }
  } catch {
    return undefined
  }
}

function publicMembers({ kty, n, e, crv, x, y }: Record<string, string>) {
  return Object.fromEntries(
    Object.entries({ kty, n, e, crv, x, y }).filter(([, value]) => value !== undefined),
  )
}
