/** The HTTP response to a request whose token was refused (RFC 6750 §3, RFC 9449 §7, RFC 9470 §3), for any HTTP library. */
import type { Scheme } from './authorization-header.ts'
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
  /** The scheme that the request has used. Default: what the error is about. */
  readonly scheme?: Scheme
  /** Whether a challenge names the scheme DPoP although the request has not used it: `verifier.announcesDpop`. */
  readonly announcesDpop?: boolean
  /** The signature algorithms of proofs that are accepted (RFC 9449 §7.1): `verifier.dpopAlgorithms`. */
  readonly dpopAlgorithms?: readonly string[]
}

/** These are not the token's fault. A 401 would make the client throw away a token that may be valid. */
const UNAVAILABLE: readonly VerifyErrorCode[] = ['keys_unavailable', 'status_unavailable', 'replay_unknown']

/** RFC 6750 §3.1, RFC 9449 §7.1, RFC 9470 §3. Every other code is answered with 401 and `invalid_token`. */
const ERRORS: { readonly [code in VerifyErrorCode]?: readonly [status: number, error: string] } = {
  bad_request: [400, 'invalid_request'],
  insufficient_scope: [403, 'insufficient_scope'],
  insufficient_role: [403, 'insufficient_scope'],
  invalid_proof: [401, 'invalid_dpop_proof'],
  replayed_proof: [401, 'invalid_dpop_proof'],
  nonce_required: [401, 'use_dpop_nonce'],
  insufficient_authentication: [401, 'insufficient_user_authentication'],
}

/** Errors that only a request with the scheme DPoP can cause. */
const ABOUT_PROOFS: readonly VerifyErrorCode[] = ['invalid_proof', 'replayed_proof', 'nonce_required']

/** Returns the response to send. An error that is not a VerifyError is thrown again. */
export function errorResponse(error: unknown, challenge: Challenge): ErrorResponse {
  if (!(error instanceof VerifyError)) throw error
  const { code, message, nonce } = error
  if (UNAVAILABLE.includes(code)) {
    const what = code === 'replay_unknown' ? 'DPoP proof' : 'token'
    return response(
      503,
      { 'retry-after': '1' },
      'temporarily_unavailable',
      `the ${what} cannot be checked now`,
    )
  }
  const headers = nonce === undefined ? {} : { 'dpop-nonce': nonce }
  // RFC 6750 §3.1: a request without a token gets a challenge without an error code.
  if (code === 'missing_token')
    return response(401, { ...headers, ...challenges({}, challenge) }, 'unauthorized', message)
  const [status, name] = ERRORS[code] ?? [401, 'invalid_token']
  const scope = code === 'insufficient_scope' ? { scope: (challenge.scopes ?? []).join(' ') } : {}
  const parameters = { error: name, error_description: message, ...error.challenge, ...scope }
  const scheme = challenge.scheme ?? (ABOUT_PROOFS.includes(code) ? 'DPoP' : 'Bearer')
  // RFC 9449 §7.2: a client that has sent a bound token as a bearer token learns that there is another scheme.
  const announcesDpop = challenge.announcesDpop === true || code === 'proof_required'
  return response(
    status,
    { ...headers, ...challenges(parameters, { ...challenge, scheme, announcesDpop }) },
    name,
    message,
  )
}

/**
 * The scheme that the request has used has the error, and the other one has none (RFC 9449 §7.2). A request without a token gets all schemes;
 * one that has used DPoP needs no other.
 */
function challenges(
  error: Record<string, string>,
  { realm, scheme, announcesDpop, dpopAlgorithms = [] }: Challenge,
): Record<string, string> {
  const algs = dpopAlgorithms.length > 0 ? { algs: dpopAlgorithms.join(' ') } : {}
  const text =
    scheme === 'DPoP'
      ? `DPoP ${pairs({ realm, ...error, ...algs })}`
      : `Bearer ${pairs({ realm, ...error })}${announcesDpop ? `, DPoP ${pairs({ realm, ...algs })}` : ''}`
  return { 'www-authenticate': text }
}

/** The headers of a successful response that gives the client a new nonce (RFC 9449 §8.2): a cache must not repeat it. */
export function nonceHeaders(nonce: string): Record<string, string> {
  return { 'dpop-nonce': nonce, 'cache-control': 'no-store' }
}

function pairs(parameters: Record<string, string>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}="${withoutQuotes(value)}"`)
    .join(', ')
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
