/**
 * Every error that a protocol endpoint can return. The codes are a closed union with one table of statuses; a test compares
 * both with docs/errors.md. Must not know HTTP, except for the status.
 */
import type { FailureDetail } from '../audit/failure-details.ts'
import { KeyturnError } from '../errors.ts'
import type { Seconds } from '../system.ts'

/**
 * RFC 6749 §5.2 and §4.1.2.1, RFC 7009 §2.2.1, RFC 8707 §2, OpenID Connect Core §3.1.2.6, RFC 9101 §7, RFC 6750 §3.1, RFC 9449
 * §12.2, and OpenID's unmet_authentication_requirements. The status is not sent with an error that reaches the client through the browser.
 */
export const statuses = {
  invalid_request: 400,
  invalid_client: 401,
  invalid_grant: 400,
  unauthorized_client: 400,
  unsupported_grant_type: 400,
  unsupported_token_type: 400,
  invalid_scope: 400,
  invalid_target: 400,
  unsupported_response_type: 400,
  access_denied: 400,
  login_required: 400,
  consent_required: 400,
  interaction_required: 400,
  account_selection_required: 400,
  unmet_authentication_requirements: 400,
  invalid_request_object: 400,
  invalid_request_uri: 400,
  request_not_supported: 400,
  request_uri_not_supported: 400,
  invalid_dpop_proof: 400,
  use_dpop_nonce: 400,
  invalid_token: 401,
  insufficient_scope: 403,
  temporarily_unavailable: 503,
  server_error: 500,
} as const

export type OAuthErrorCode = keyof typeof statuses

/** Why a request was refused, for operators. The client sees only the code and the message. */
export interface Diagnosis {
  /** Written to the audit trail and the log, never sent to a client. */
  readonly detail?: FailureDetail | undefined
  /** Written to the log only. */
  readonly cause?: unknown
}

export interface OAuthErrorOptions extends Diagnosis {
  /** Replaces the status of the table, where another RFC requires it (405, 413, 429). */
  readonly status?: number
  readonly retryAfter?: Seconds
}

/** A refusal with two texts: `message` is safe for the client; `detail` and `cause` are for the audit trail and the log. */
export class OAuthError extends KeyturnError<OAuthErrorCode, FailureDetail> {
  readonly status: number
  readonly retryAfter: Seconds | undefined
  constructor(code: OAuthErrorCode, message: string, options: OAuthErrorOptions = {}) {
    super(code, message, options)
    this.status = options.status ?? statuses[code]
    this.retryAfter = options.retryAfter
  }
}

const errorFactory = (code: OAuthErrorCode) => (message: string, diagnosis?: Diagnosis) =>
  new OAuthError(code, message, diagnosis)

/** The client must not learn why it got `invalid_grant` or `invalid_client`, so a `detail` for the operator is required. */
export type Diagnosed = Diagnosis & { readonly detail: FailureDetail }

export const invalidRequest = errorFactory('invalid_request')
export const invalidGrant = (message: string, diagnosis: Diagnosed) =>
  new OAuthError('invalid_grant', message, diagnosis)
export const unauthorizedClient = errorFactory('unauthorized_client')
export const invalidScope = errorFactory('invalid_scope')
export const invalidTarget = errorFactory('invalid_target')

/**
 * One message for every way in which client authentication can fail, so that the response does not reveal whether the client
 * exists (RFC 6749 §5.2).
 */
export const invalidClient = (diagnosis: Diagnosed) =>
  new OAuthError('invalid_client', 'client authentication failed', diagnosis)

export const unavailable = (retryAfter: Seconds, diagnosis: Diagnosis = {}) =>
  new OAuthError('temporarily_unavailable', 'the server cannot do this now, try again later', {
    ...diagnosis,
    retryAfter,
  })

/** Replaces the characters that RFC 6749 §5.2 does not allow in an `error_description`. */
export function sanitizeDescription(text: string): string {
  return text.replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '?')
}
