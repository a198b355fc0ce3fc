/** The JOSE header of a token, judged before anything else: it says which key and algorithm, and which kind of JWT. */
import { type AlgorithmName, isAlgorithm } from './algorithms.ts'
import { parseJson } from './compact.ts'
import { VerifyError } from './errors.ts'
import { LONGEST_KID } from './jwks.ts'

export interface Header {
  readonly kid: string
  readonly alg: AlgorithmName
  /** In lower case, without `application/`; empty if the token has none. */
  readonly type: string
}

export interface HeaderRules {
  readonly algorithms: readonly AlgorithmName[]
  /** In the form of `Header.type`. */
  readonly types: readonly string[]
}

/**
 * A key that the token brings along or names by address (`jwk`, `jku`, `x5c`, `x5u`) is not looked at
 * (RFC 8725 §3.10).
 * @throws {VerifyError} malformed, algorithm_refused, not_an_access_token, unknown_key
 */
export function readHeader(part: string, { algorithms, types }: HeaderRules): Header {
  const { alg, typ, kid, crit, b64 } = parseJson(part)
  // RFC 8725 §3.1: only what this service was told to accept, to the letter.
  if (!isAlgorithm(alg) || !algorithms.includes(alg)) {
    throw new VerifyError('algorithm_refused', 'the signature algorithm is not accepted')
  }
  const type = typeOf(typ)
  if (type === undefined || !types.includes(type)) {
    throw new VerifyError('not_an_access_token', 'the token is of another type')
  }
  // RFC 7515 §4.1.11, RFC 7797 §6: whoever does not understand an extension must refuse.
  if (crit !== undefined || b64 !== undefined) {
    throw new VerifyError('not_an_access_token', 'the token has critical headers that are not understood')
  }
  if (typeof kid !== 'string' || kid === '' || kid.length > LONGEST_KID) {
    throw new VerifyError('unknown_key', 'the token names no key')
  }
  return { kid, alg, type }
}

/** RFC 7515 §4.1.9: a media type, its case without meaning, `application/` left out where nothing else has a slash. */
export function typeOf(typ: unknown): string | undefined {
  if (typ === undefined) return ''
  return typeof typ === 'string' && typ !== '' ? typ.toLowerCase().replace(/^application\//, '') : undefined
}
