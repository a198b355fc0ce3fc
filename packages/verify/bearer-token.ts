/** Finds the access token in a request (RFC 6750 §2.1), for any HTTP library. */
import { VerifyError } from './errors.ts'

/** A request as Node's `http` module has it. An Express request is one; Fastify has it as `request.raw`. */
export interface NodeRequest {
  readonly headers: { readonly authorization?: string | undefined }
  /** Alternating names and values. */
  readonly rawHeaders?: readonly string[]
}

/**
 * Returns the token of an `Authorization` header (RFC 6750 §2.1). The scheme is compared without regard to case
 * (RFC 9110 §11.1). Tokens in the query or the body are not accepted, because URLs end up in logs (RFC 9700 §4.3.2).
 * @throws {VerifyError} missing_token, bad_request, malformed
 */
export function bearerToken(authorization: string | null | undefined): string {
  const space = authorization?.indexOf(' ') ?? -1
  const scheme = space < 0 ? authorization : authorization?.slice(0, space)
  if (scheme?.toLowerCase() !== 'bearer') {
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

/** Returns the token of a Node request. @throws {VerifyError} missing_token, bad_request, malformed */
export function incomingToken({ headers, rawHeaders = [] }: NodeRequest): string {
  // Node keeps the first of two Authorization headers; a proxy in front of it may have checked the second.
  const names = rawHeaders.filter((name, i) => i % 2 === 0 && name.length === 'authorization'.length)
  if (names.filter((name) => name.toLowerCase() === 'authorization').length > 1) {
    throw new VerifyError('bad_request', 'the Authorization header is repeated')
  }
  return bearerToken(headers.authorization)
}
