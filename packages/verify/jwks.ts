/** A JWK Set (RFC 7517 §5) → keys that may verify. One bad key in it must not take the good ones along. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { type AlgorithmName, algorithm, isAlgorithm } from './algorithms.ts'

export interface VerificationKey {
  readonly kid: string
  /** The only algorithm this key is used with (RFC 8725 §3.1). */
  readonly alg: AlgorithmName
  readonly key: KeyObject
}

export type Keys = ReadonlyMap<string, VerificationKey>

/** RFC 7518 §3.3: RSA keys of fewer bits are no keys; those of more only cost time. */
const SMALLEST_RSA = 2048
const LARGEST_RSA = 8192
/** With 1 as exponent every number is a signature; a huge one makes each check slow. */
const SMALLEST_EXPONENT = 3n
const LARGEST_EXPONENT = 2n ** 32n
/** A set of more is a mistake or an attack. */
const MOST_KEYS = 100
/** Longer names of keys are not looked for: they are remembered, and a thumbprint has 43 characters. */
export const LONGEST_KID = 512

/** What was wrong with the others is nobody's business but the issuer's. @throws {Error} if it is no JWK Set */
export function readJwks(document: unknown, accepted: readonly AlgorithmName[]): Keys {
  const keys = (document as { keys?: unknown } | null)?.keys
  if (!Array.isArray(keys)) throw new Error('the JWKS has no keys')
  const found = new Map<string, VerificationKey>()
  for (const jwk of keys) {
    const key = readKey(jwk, accepted)
    // RFC 7517 §4.5 wants distinct kids; of two the first counts, so that an appended key replaces none.
    if (key && !found.has(key.kid)) found.set(key.kid, key)
    if (found.size === MOST_KEYS) break
  }
  return found
}

function readKey(jwk: unknown, accepted: readonly AlgorithmName[]): VerificationKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  const { kid, kty, crv, use, alg, key_ops: operations } = jwk as Record<string, unknown>
  if (typeof kid !== 'string' || kid === '' || kid.length > LONGEST_KID) return undefined
  if (use !== undefined && use !== 'sig') return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return undefined
  const name = alg === undefined ? firstFor(kty, crv, accepted) : alg
  if (!isAlgorithm(name) || !accepted.includes(name)) return undefined
  const row = algorithm(name)
  if (row.kty !== kty || row.crv !== crv) return undefined
  try {
    const key = createPublicKey({ key: publicMembers(jwk as Record<string, string>), format: 'jwk' })
    return isStrong(key) ? { kid, alg: name, key } : undefined
  } catch {
    return undefined
  }
}

function firstFor(kty: unknown, crv: unknown, accepted: readonly AlgorithmName[]): AlgorithmName | undefined {
  return accepted.find((one) => algorithm(one).kty === kty && algorithm(one).crv === crv)
}

function isStrong({ asymmetricKeyDetails }: KeyObject): boolean {
  const { modulusLength: bits, publicExponent: exponent } = asymmetricKeyDetails ?? {}
  if (bits === undefined || exponent === undefined) return true
  return (
    bits >= SMALLEST_RSA &&
    bits <= LARGEST_RSA &&
    exponent >= SMALLEST_EXPONENT &&
    exponent <= LARGEST_EXPONENT
  )
}

/** Neither a private half nor a certificate that somebody put there is read. */
function publicMembers({ kty, n, e, crv, x, y }: Record<string, string>) {
  return Object.fromEntries(
    Object.entries({ kty, n, e, crv, x, y }).filter(([, value]) => value !== undefined),
  )
}
