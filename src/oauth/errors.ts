/**
 * Everything that a protocol endpoint may answer instead of what was asked for. The codes are a closed union,
 * their statuses one table; a test compares both with docs/errors.md. Must not know HTTP beyond the status.
 */
import type { Seconds } from '../system.ts'

/**
 * RFC 6749 §5.2 and §4.1.2.1, RFC 7009 §2.2.1, RFC 8707 §2, OpenID Connect Core §3.1.2.6, RFC 9101 §7, RFC 6750 §3.1,
 * and OpenID's unmet_authentication_requirements. What goes to a client with the browser has no status of its own.
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
  invalid_token: 401,
  insufficient_scope: 403,
  temporarily_unavailable: 503,
  server_error: 500,
} as const

export type OAuthErrorCode = keyof typeof statuses

export interface OAuthErrorOptions {
  /** Another status than the table's, where another RFC names one (405, 413, 429). */
  readonly status?: number
  readonly retryAfter?: Seconds
  /** For the log only; `message` is what the client sees. */
  readonly cause?: unknown
}

/** A refusal with two texts: `message`, safe for the client, and `cause`, for the log. */
export class OAuthError extends Error {
  readonly code: OAuthErrorCode
  readonly status: number
  readonly retryAfter: Seconds | undefined
  constructor(code: OAuthErrorCode, message: string, options: OAuthErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.name = 'OAuthError'
    this.code = code
    this.status = options.status ?? statuses[code]
    this.retryAfter = options.retryAfter
  }
}

const thrower = (code: OAuthErrorCode) => (message: string, cause?: unknown) =>
  new OAuthError(code, message, { cause })

export const invalidRequest = thrower('invalid_request')
export const invalidGrant = thrower('invalid_grant')
export const unauthorizedClient = thrower('unauthorized_client')
export const invalidScope = thrower('invalid_scope')
export const invalidTarget = thrower('invalid_target')

/**
 * One text for every way a client can fail to authenticate, so that the answer does not tell an unknown client
 * from a wrong secret (RFC 6749 §5.2).
 */
export const invalidClient = (cause?: unknown) =>
  new OAuthError('invalid_client', 'client authentication failed', { cause })

export const unavailable = (retryAfter: Seconds, cause?: unknown) =>
  new OAuthError('temporarily_unavailable', 'the server cannot do this now, try again later', {
    retryAfter,
    cause,
  })

/** RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E; anything else would not be a legal error_description. */
export function describable(text: string): string {
  return text.replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '?')
}
