/** The JOSE header of a token (RFC 7515 §4). It is checked first, because it names the key, the algorithm and the type. */

import { parseJson } from './compact-jws.ts'
import { VerifyError } from './errors.ts'
import { MAX_KID_LENGTH } from './jwks.ts'
import { type AlgorithmName, isAlgorithmName } from './signature-algorithms.ts'

export interface JoseHeader {
  readonly kid: string
  readonly alg: AlgorithmName
  /** The `typ` in lower case and without `application/`; empty if the token has none. */
  readonly type: string
}

interface HeaderRules {
  readonly algorithms: readonly AlgorithmName[]
  /** Accepted types, written like `JoseHeader.type`. */
  readonly types: readonly string[]
}

/**
 * Reads and checks the header. A key or address of a key in the token (`jwk`, `jku`, `x5c`, `x5u`) is ignored
 * (RFC 8725 §3.10).
 * @throws {VerifyError} malformed, algorithm_refused, not_an_access_token, unknown_key
 */
export function readHeader(part: string, { algorithms, types }: HeaderRules): JoseHeader {
  const { alg, typ, kid, crit, b64 } = parseJson(part)
  // RFC 8725 §3.1: only algorithms from the configuration, compared exactly.
  if (!isAlgorithmName(alg) || !algorithms.includes(alg)) {
    throw new VerifyError('algorithm_refused', 'the signature algorithm is not accepted')
  }
  const type = normalizeType(typ)
  if (type === undefined || !types.includes(type)) {
    throw new VerifyError('not_an_access_token', 'the token has another type')
  }
  // RFC 7515 §4.1.11, RFC 7797 §6: a verifier must refuse extensions that it does not understand.
  if (crit !== undefined || b64 !== undefined) {
    throw new VerifyError('not_an_access_token', 'the token has critical headers that are not supported')
  }
  if (typeof kid !== 'string' || kid === '' || kid.length > MAX_KID_LENGTH) {
    throw new VerifyError('unknown_key', 'the token does not name a key')
  }
  return { kid, alg, type }
}

/**
 * Normalises a `typ` (RFC 7515 §4.1.9): a media type, compared without regard to case, whose `application/` may be left
 * out. Returns '' for none, and undefined for a `typ` that is not a media type.
 */
export function normalizeType(typ: unknown): string | undefined {
  if (typ === undefined) return ''
  return typeof typ === 'string' && typ !== '' ? typ.toLowerCase().replace(/^application\//, '') : undefined
}
