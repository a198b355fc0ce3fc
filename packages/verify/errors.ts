/**
 * Why a token was refused. The codes are stable: callers may branch on them. Messages are for people and logs,
 * and never repeat the token.
 */
export type VerifyErrorCode =
  /** No token, or not where RFC 6750 §2 puts it. */
  | 'missing_token'
  /** The request is wrong, not the token: `Authorization` twice, or `Bearer` and nothing (RFC 6750 §3.1). */
  | 'bad_request'
  /** Not a compact JWS with JSON header and claims, or larger than allowed. */
  | 'malformed'
  /** An algorithm that is not on the list, or not that of the key (RFC 8725 §3.1). */
  | 'algorithm_refused'
  /** Not an access token: another `typ` (RFC 9068 §4), or critical headers nobody here understands. */
  | 'not_an_access_token'
  /** No key of the issuer has this `kid`. */
  | 'unknown_key'
  /** The issuer's keys could not be had, so it is not known whether the token is good. */
  | 'keys_unavailable'
  | 'bad_signature'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'expired'
  | 'not_yet_valid'
  /** A claim that must be there is missing or of the wrong type (RFC 9068 §2.2). */
  | 'bad_claims'
  /** The status list says that it was taken back. */
  | 'revoked'
  /** The status list is needed, too old, and the policy is to refuse; or it has no such entry. */
  | 'status_unavailable'
  | 'insufficient_scope'
  | 'insufficient_role'

export class VerifyError extends Error {
  readonly code: VerifyErrorCode
  constructor(code: VerifyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'VerifyError'
    this.code = code
  }
}
