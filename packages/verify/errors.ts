/**
 * Why a token was refused. The codes are stable, so callers may branch on them. Messages are for developers and logs;
 * they never repeat the token.
 */
export type VerifyErrorCode =
  /** The request has no token where RFC 6750 §2 puts it. */
  | 'missing_token'
  /** The request is wrong: it has two `Authorization` headers, or `Bearer` without a token (RFC 6750 §3.1). */
  | 'bad_request'
  /** The token is not a compact JWS with JSON header and claims, or is longer than `maxTokenLength`. */
  | 'malformed'
  /** The algorithm is not accepted, or is not the algorithm of the key (RFC 8725 §3.1). */
  | 'algorithm_refused'
  /** The JWT is not an access token: it has another `typ` (RFC 9068 §4) or critical headers (RFC 7515 §4.1.11). */
  | 'not_an_access_token'
  /** The issuer publishes no key with this `kid`. */
  | 'unknown_key'
  /** The issuer's keys could not be fetched, so the token could not be checked. */
  | 'keys_unavailable'
  /** The signature does not match the token. */
  | 'bad_signature'
  /** `iss` is not the configured issuer. */
  | 'wrong_issuer'
  /** `aud` does not contain an audience of this verifier. */
  | 'wrong_audience'
  /** `exp` has passed. */
  | 'expired'
  /** `nbf` or `iat` is in the future. */
  | 'not_yet_valid'
  /** A required claim is missing, or a claim has the wrong type (RFC 9068 §2.2). */
  | 'bad_claims'
  /** The status list says that the token was revoked. */
  | 'revoked'
  /**
   * The status list is missing or too old and `onStale` is `reject`, or the list has no such entry, or there is no room for it.
   */
  | 'status_unavailable'
  /** The token lacks a scope that the route requires. */
  | 'insufficient_scope'
  /** The user lacks a role that the route requires. */
  | 'insufficient_role'

/**
 * The options do not fit what the issuer publishes, so no token can be verified until they are corrected. Not a VerifyError, because
 * no token is at fault: guards pass it on, and the response is a 500.
 */
export class ConfigurationError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConfigurationError'
  }
}

/** Thrown when a token is refused. `cause` has the underlying error, if there is one. */
export class VerifyError extends Error {
  readonly code: VerifyErrorCode
  constructor(code: VerifyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'VerifyError'
    this.code = code
  }
}
