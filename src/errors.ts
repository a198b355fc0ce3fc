/**
 * The convention for errors that Keyturn throws on purpose: a class that extends KeyturnError, with a literal `code`. Callers
 * distinguish errors by code or class, never by name or message. Must not know any other part. The error codes of responses
 * (RFC 6749 §5.2) are in oauth/errors.ts. A programming mistake is a bare Error.
 */

/** docs/errors.md explains each code; a test compares both lists. */
export const ERROR_CODES = [
  'usage_error',
  'command_failed',
  'already_reported',
  'invalid_configuration',
  'invalid_text',
  'invalid_master_key',
  'decryption_failed',
  'key_mismatch',
  'key_not_found',
  'rotation_unsafe',
  'store_unavailable',
  'store_damaged',
  'store_unusable',
  'store_missing',
  'constraint_violation',
  'transfer_refused',
  'notifications_missing',
  'notifications_unsupported',
  'invalid_account',
  'account_conflict',
  'invalid_redirect_uri',
  'invalid_client_metadata',
  'client_secret_refused',
  'invalid_client_jwt',
  'logout_token_refused',
  'administration_refused',
  'invalid_document',
  'server_unreachable',
  'invalid_server',
  'not_signed_in',
  'sign_in_failed',
  'rate_limited',
  'overloaded',
  'page_error',
  'trace_export_rejected',
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

export interface KeyturnErrorOptions<Detail extends string = string> {
  readonly cause?: unknown
  /** The exact cause, for operators: it may name hosts and files, and never reaches a client. */
  readonly detail?: Detail | undefined
  /** What an operator can do about the error. */
  readonly hint?: string | undefined
}

export abstract class KeyturnError<
  Code extends string = ErrorCode,
  Detail extends string = string,
> extends Error {
  readonly code: Code
  readonly detail?: Detail
  readonly hint?: string
  constructor(code: Code, message: string, { cause, detail, hint }: KeyturnErrorOptions<Detail> = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.code = code
    if (detail !== undefined) this.detail = detail
    if (hint !== undefined) this.hint = hint
  }
}
