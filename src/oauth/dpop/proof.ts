/**
 * The checks of a DPoP proof that need no memory (RFC 9449 §4.3). Pure, apart from the signature, which is verified on the thread pool.
 * Loaded when the first proof arrives. Must not know who sent the proof, or what for.
 */
import { createHash, type KeyObject, verify } from 'node:crypto'
import type { DpopProblem } from '../../audit/failure-details.ts'
import type { EpochSeconds } from '../../system.ts'
import { parseSigningKey } from '../client-registration/client-jwks.ts'
import { RegistrationError } from '../client-registration/registration-error.ts'
import { OAuthError } from '../errors.ts'
import { CLIENT_CLOCK_SKEW, DPOP_PROOF_MAX_AGE } from '../lifetimes.ts'
import { algorithms } from './algorithms.ts'
import { isSameTarget } from './target-uri.ts'

/** In characters. A proof with the largest key that is accepted has about half of it. */
const MAX_PROOF_LENGTH = 8192
const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/

export interface ProofRules {
  readonly method: string
  /** The URL of the endpoint, as it is published. */
  readonly url: string
  readonly now: EpochSeconds
  /** The access token that the request presents. */
  readonly accessToken?: string | undefined
}

export interface VerifiedProof {
  /** The thumbprint of the key (RFC 7638). */
  readonly jkt: string
  readonly jti: string
  /** As the proof has it: the URL of the request may have other spellings, and a query. */
  readonly htu: string
  readonly nonce: string | undefined
  /** When the proof will be too old. */
  readonly acceptedUntil: EpochSeconds
}

type Members = Readonly<Record<string, unknown>>

/** @throws {OAuthError} invalid_dpop_proof */
export async function verifyProof(text: string, rules: ProofRules): Promise<VerifiedProof> {
  const [, head = '', body = '', signature = ''] =
    text.length > MAX_PROOF_LENGTH ? [] : (COMPACT.exec(text) ?? [])
  if (head === '') throw invalidProof('malformed', 'the DPoP header is not one signed JWT, or it is too long')
  const header = objectOf(head, 'header')
  const claims = objectOf(body, 'payload')
  checkHeader(header)
  const { publicKey, thumbprint } = keyOf(header)
  if (!(await isSigned(String(header.alg), publicKey, `${head}.${body}`, signature)))
    throw invalidProof('wrong_signature', 'the key of the DPoP proof did not sign it')
  return { jkt: thumbprint, ...checkClaims(claims, rules) }
}

export const invalidProof = (problem: DpopProblem, message: string, cause?: unknown) =>
  new OAuthError('invalid_dpop_proof', message, { detail: `dpop_${problem}`, cause })

function objectOf(part: string, name: string): Members {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(part, 'base64url')))
  } catch {
    value = null
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalidProof('malformed', `the ${name} of the DPoP proof is not a JSON object`)
  return value as Members
}

function checkHeader({ typ, alg, crit, b64 }: Members): void {
  // RFC 7515 §4.1.9: a media type is case-insensitive, and `application/` may be omitted.
  const type = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : undefined
  if (type !== 'dpop+jwt') throw invalidProof('wrong_type', 'typ of the DPoP proof must be dpop+jwt')
  if (typeof alg !== 'string' || !Object.hasOwn(algorithms, alg))
    throw invalidProof('wrong_algorithm', `alg of the DPoP proof must be one of ${Object.keys(algorithms)}`)
  // RFC 7515 §4.1.11: no extension is understood. RFC 7797 §7: a JWT must not have an unencoded payload.
  if (crit !== undefined || b64 !== undefined)
    throw invalidProof('malformed', 'the DPoP proof has a critical header parameter that is not supported')
}

/** `x5c`, `x5u`, `jku` and `kid` of the header are ignored: the key of a proof is in its `jwk` (§4.2). */
function keyOf({ alg, jwk }: Members): { publicKey: KeyObject; thumbprint: string } {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk))
    throw invalidProof('wrong_key', 'jwk of the DPoP proof is missing')
  try {
    const key = parseSigningKey(jwk as Members)
    const name = String(alg)
    if (key.jwk.kty !== algorithms[name]?.kty || algorithms[String(key.jwk.alg ?? name)] !== algorithms[name])
      throw invalidProof('wrong_key', 'jwk of the DPoP proof is not a key for its alg')
    return { publicKey: key.publicKey, thumbprint: thumbprintOf(key.publicKey, key.jwk) }
  } catch (error) {
    if (!(error instanceof RegistrationError)) throw error
    throw invalidProof(
      'wrong_key',
      'jwk of the DPoP proof must be a public key: RSA of at least 2048 bits, EC on P-256, or Ed25519',
      error,
    )
  }
}

/**
 * RFC 7638 §3. A key can be written in several ways, of which the thumbprint of only one is right, so the others are refused.
 * @throws {OAuthError} invalid_dpop_proof
 */
function thumbprintOf(publicKey: KeyObject, sent: Members): string {
  // The members are those of §3.2, and their order is alphabetical, as §3.3 requires.
  const members = Object.entries(publicKey.export({ format: 'jwk' })).sort(([a], [b]) => (a < b ? -1 : 1))
  if (members.some(([name, value]) => sent[name] !== value))
    throw invalidProof('wrong_key', 'jwk of the DPoP proof is not encoded as RFC 7518 requires')
  return sha256(JSON.stringify(Object.fromEntries(members)))
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url')

function isSigned(alg: string, key: KeyObject, input: string, signature: string): Promise<boolean> {
  const { hash = null, options = {} } = algorithms[alg] ?? {}
  return new Promise((resolve, reject) => {
    verify(
      hash,
      Buffer.from(input),
      { key, ...options },
      Buffer.from(signature, 'base64url'),
      (error, result) => (error ? reject(error) : resolve(result)),
    )
  })
}

function checkClaims(claims: Members, { method, url, now, accessToken }: ProofRules) {
  const { jti, htm, htu, iat, exp, nbf, ath, nonce } = claims
  if (typeof jti !== 'string' || jti === '') throw missing('jti')
  if (typeof htm !== 'string') throw missing('htm')
  if (typeof htu !== 'string') throw missing('htu')
  if (typeof iat !== 'number') throw missing('iat')
  if (nonce !== undefined && typeof nonce !== 'string') throw missing('nonce')
  // A method is case-sensitive (RFC 9110 §9.1).
  if (htm !== method) throw invalidProof('wrong_method', `htm of the DPoP proof must be ${method}`)
  if (!isSameTarget(htu, url)) throw invalidProof('wrong_uri', `htu of the DPoP proof must be ${url}`)
  const acceptedUntil = iat + DPOP_PROOF_MAX_AGE
  if (now > acceptedUntil) throw invalidProof('expired', 'iat of the DPoP proof is too far in the past')
  if (iat > now + CLIENT_CLOCK_SKEW)
    throw invalidProof('not_yet_valid', 'iat of the DPoP proof is in the future')
  // Proofs need neither claim, but one that has them means them (RFC 7519 §4.1.4, §4.1.5).
  if (exp !== undefined && !(typeof exp === 'number' && now < exp + CLIENT_CLOCK_SKEW))
    throw invalidProof('expired', 'exp of the DPoP proof is in the past')
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf <= now + CLIENT_CLOCK_SKEW))
    throw invalidProof('not_yet_valid', 'nbf of the DPoP proof is in the future')
  if (accessToken !== undefined && ath !== sha256(accessToken))
    throw invalidProof('wrong_token', 'ath of the DPoP proof must be the hash of the access token')
  return { jti, htu, nonce, acceptedUntil }
}

const missing = (claim: string) =>
  invalidProof('missing_claim', `${claim} of the DPoP proof is missing, or has the wrong type`)
