/** The HTTP response to a request whose token was refused (RFC 6750 §3), for any HTTP library. */
import { VerifyError, type VerifyErrorCode } from './errors.ts'
import type { Requirements } from './requirements.ts'

export interface ErrorResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: { readonly error: string; readonly error_description: string }
}

export interface Challenge extends Requirements {
  /** The protection space that the challenge names (RFC 9110 §11.5): `verifier.realm`. */
  readonly realm: string
}

/** These are not the token's fault. A 401 would make the client throw away a token that may be valid. */
const UNAVAILABLE: readonly VerifyErrorCode[] = ['keys_unavailable', 'status_unavailable']

/** RFC 6750 §3.1. Every other code is answered with 401 and `invalid_token`. */
const ERRORS: { readonly [code in VerifyErrorCode]?: readonly [status: number, error: string] } = {
  bad_request: [400, 'invalid_request'],
  insufficient_scope: [403, 'insufficient_scope'],
  insufficient_role: [403, 'insufficient_scope'],
}

/** Returns the response to send (RFC 6750 §3). An error that is not a VerifyError is thrown again. */
export function errorResponse(error: unknown, { realm, scopes = [] }: Challenge): ErrorResponse {
  if (!(error instanceof VerifyError)) throw error
  const { code, message } = error
  if (UNAVAILABLE.includes(code)) {
    const description = 'the token cannot be checked now'
    return response(503, { 'retry-after': '1' }, 'temporarily_unavailable', description)
  }
  // §3.1: a request without a token gets a challenge without an error code.
  if (code === 'missing_token') return response(401, challenge({ realm }), 'unauthorized', message)
  const [status, name] = ERRORS[code] ?? [401, 'invalid_token']
  const scope = code === 'insufficient_scope' ? { scope: scopes.join(' ') } : {}
  const headers = challenge({ realm, error: name, error_description: message, ...scope })
  return response(status, headers, name, message)
}

function challenge(parameters: Record<string, string>): Record<string, string> {
  const pairs = Object.entries(parameters).map(([name, value]) => `${name}="${withoutQuotes(value)}"`)
  return { 'www-authenticate': `Bearer ${pairs.join(', ')}` }
}

function response(
  status: number,
  headers: Record<string, string>,
  error: string,
  description: string,
): ErrorResponse {
  return {
    status,
    headers: { 'cache-control': 'no-store', ...headers },
    body: { error, error_description: description },
  }
}

/** RFC 6750 §3: a parameter must not contain a quote or a backslash. */
const withoutQuotes = (text: string): string => text.replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '?')
