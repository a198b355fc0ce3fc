/** Finds the access token in an `Authorization` header (RFC 6750 §2.1, RFC 9449 §7.1), for any HTTP library. */
import { VerifyError } from './errors.ts'

/** The authentication scheme of a token: DPoP if a DPoP proof comes with it (RFC 9449 §7.1), otherwise Bearer. */
export type Scheme = 'Bearer' | 'DPoP'

/** The scheme that a request tries to use, whether or not its header is valid. The response's challenge is for this scheme. */
export function schemeOf(authorization: string | null | undefined): Scheme {
  return /^dpop(?: |$)/i.test(authorization ?? '') ? 'DPoP' : 'Bearer'
}

/**
 * Returns the token of an `Authorization` header. The scheme, `Bearer` or `DPoP`, is compared without regard to case
 * (RFC 9110 §11.1). Tokens in the query or the body are not accepted, because URLs end up in logs (RFC 9700 §4.3.2).
 * @throws {VerifyError} missing_token, bad_request, malformed
 */
export function tokenOf(authorization: string | null | undefined): string {
  const space = authorization?.indexOf(' ') ?? -1
  const scheme = (space < 0 ? authorization : authorization?.slice(0, space))?.toLowerCase()
  if (scheme !== 'bearer' && scheme !== 'dpop') {
    throw new VerifyError('missing_token', 'the request has no access token')
  }
  const token = space < 0 ? '' : (authorization?.slice(space).trim() ?? '')
  if (token === '') throw new VerifyError('bad_request', 'the Authorization header has no token')
  // A web-standard Request joins two headers with a comma.
  if (token.includes(',')) throw new VerifyError('bad_request', 'the Authorization header is repeated')
  if (!/^[\w\-.~+/]+=*$/.test(token)) {
    throw new VerifyError('malformed', 'the token has characters that are not allowed in a token')
  }
  return token
}

/**
 * Returns the proof of a `DPoP` header. Node and web-standard Requests join repeated headers with a comma, which a proof cannot contain.
 * @throws {VerifyError} invalid_proof, unless there is exactly one (RFC 9449 §4.3)
 */
export function proofOf(header: string | null | undefined): string {
  if (header === undefined || header === null || header === '') {
    throw new VerifyError('invalid_proof', 'the request has no DPoP proof')
  }
  if (header.includes(',')) throw new VerifyError('invalid_proof', 'the DPoP header is repeated')
  return header
}
