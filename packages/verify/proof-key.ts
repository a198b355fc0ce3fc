/** The key in the header of a DPoP proof: checked, imported, and with its thumbprint (RFC 9449 §4.2, RFC 7638). */
import { createPublicKey, hash, type KeyObject } from 'node:crypto'
import { parseJson } from './compact-jws.ts'
import { VerifyError } from './errors.ts'
import { normalizeType } from './jose-header.ts'
import { isStrong, publicMembers } from './jwks.ts'
import { type AlgorithmName, isAlgorithmName, signatureAlgorithm } from './signature-algorithms.ts'

export interface ProofKey {
  readonly alg: AlgorithmName
  readonly key: KeyObject
  readonly jkt: string
}

/** Members of private and symmetric keys (RFC 7518 §6.2.2, §6.3.2, §6.4.1). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** @throws {VerifyError} invalid_proof, malformed */
export function readProofHeader(part: string, algorithms: readonly AlgorithmName[]): ProofKey {
  const { typ, alg, jwk, crit, b64 } = parseJson(part)
  // RFC 9449 §11.6: a JWT that was made for another purpose is not a proof.
  if (normalizeType(typ) !== 'dpop+jwt') throw invalid('has another type')
  if (!isAlgorithmName(alg) || !algorithms.includes(alg)) {
    throw invalid('has a signature algorithm that is not accepted')
  }
  // RFC 7515 §4.1.11, RFC 7797 §6: a verifier must refuse extensions that it does not understand.
  if (crit !== undefined || b64 !== undefined) throw invalid('has critical headers that are not supported')
  const key = readJwk(jwk, alg)
  return { alg, key, jkt: thumbprint(key) }
}

function readJwk(jwk: unknown, alg: AlgorithmName): KeyObject {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) throw invalid('has no key')
  const members = jwk as Record<string, unknown>
  if (PRIVATE_MEMBERS.some((name) => name in members)) throw invalid('has a key that is not public')
  const { kty, crv, use, alg: keyAlg } = members
  const algorithm = signatureAlgorithm(alg)
  const fits = algorithm.kty === kty && (algorithm.crv === undefined || algorithm.crv === crv)
  if (!fits || (use !== undefined && use !== 'sig') || (keyAlg !== undefined && keyAlg !== alg)) {
    throw invalid('has a key for another algorithm or use')
  }
  const key = importKey(members as Record<string, string>)
  if (!key || !isStrong(key)) throw invalid('has a key that cannot be used')
  // RFC 7638 §7: a key that is written in another way has another thumbprint, so only one way is accepted.
  const canonical = Object.entries(key.export({ format: 'jwk' }))
  if (canonical.some(([name, value]) => members[name] !== value))
    throw invalid('has a key that is not encoded as RFC 7518 says')
  return key
}

function importKey(jwk: Record<string, string>): KeyObject | undefined {
  try {
    return createPublicKey({ key: publicMembers(jwk), format: 'jwk' })
  } catch {
    return undefined
  }
}

/** RFC 7638 §3.2: the required members in alphabetical order. */
function thumbprint(key: KeyObject): string {
  const { crv, e, kty, n, x, y } = key.export({ format: 'jwk' })
  return hash('sha256', JSON.stringify({ crv, e, kty, n, x, y }), 'base64url')
}

function invalid(what: string): VerifyError {
  return new VerifyError('invalid_proof', `the DPoP proof ${what}`)
}
