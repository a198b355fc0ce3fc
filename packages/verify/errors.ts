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
  /** The claim `cnf` says that the token is bound in a way that this package cannot check (RFC 7800 §3.1). */
  | 'unsupported_binding'
  /** The token is bound to a key or a certificate, and came without the proof (RFC 9449 §7.2, RFC 8705 §3). */
  | 'proof_required'
  /** The DPoP proof, or the certificate, is of another key than the token is bound to. */
  | 'wrong_key'
  /** The token is not bound, but `requireBound` or the scheme `DPoP` requires that it is. */
  | 'not_bound'
  /** The DPoP proof is missing, repeated, malformed, too old, or made for another request or token (RFC 9449 §4.3). */
  | 'invalid_proof'
  /** The DPoP proof was used before (RFC 9449 §11.1). */
  | 'replayed_proof'
  /** The DPoP proof must contain a nonce of this service (RFC 9449 §9); the error has it as `nonce`. */
  | 'nonce_required'
  /** The memory of DPoP proofs is full, has failed or has not answered. */
  | 'replay_unknown'
  /** The user has not authenticated in the required way, or not recently enough (RFC 9470 §3). */
  | 'insufficient_authentication'
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

export interface VerifyErrorOptions extends ErrorOptions {
  readonly nonce?: string
  readonly challenge?: Readonly<Record<string, string>>
}

/** Thrown when a token is refused. `cause` has the underlying error, if there is one. */
export class VerifyError extends Error {
  readonly code: VerifyErrorCode
  /** The nonce that the client must use, for the header `DPoP-Nonce` of the response. */
  readonly nonce: string | undefined
  /** Further parameters of the challenge: `acr_values` and `max_age` (RFC 9470 §3). */
  readonly challenge: Readonly<Record<string, string>>
  constructor(code: VerifyErrorCode, message: string, options: VerifyErrorOptions = {}) {
    const { nonce, challenge = {}, ...rest } = options
    super(message, rest)
    this.name = 'VerifyError'
    this.code = code
    this.nonce = nonce
    this.challenge = challenge
  }
}
