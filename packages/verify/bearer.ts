/** RFC 6750 for any HTTP library: where the token is, what is asked of it, and how to say no. */
import type { AccessTokenClaims } from './claims.ts'
import { VerifyError, type VerifyErrorCode } from './errors.ts'

export interface Requirements {
  /** All of these (RFC 6750 §3.1). */
  readonly scopes?: readonly string[]
  /** All of these. */
  readonly roles?: readonly string[]
}

/** What Node's own request has; Express's is one, and Fastify has it as `request.raw`. */
export interface IncomingShape {
  readonly headers: { readonly authorization?: string | undefined }
  /** Names and values in turn. */
  readonly rawHeaders?: readonly string[]
}

/**
 * The token of an `Authorization` header (RFC 6750 §2.1; the scheme's case does not matter, RFC 9110 §11.1).
 * A token in the query or the body is not looked for: URLs end up in logs (RFC 9700 §4.3.2).
 * @throws {VerifyError} missing_token, bad_request, malformed
 */
export function bearerToken(authorization: string | null | undefined): string {
  const space = authorization?.indexOf(' ') ?? -1
  const scheme = space < 0 ? authorization : authorization?.slice(0, space)
  if (scheme?.toLowerCase() !== 'bearer') throw new VerifyError('missing_token', 'there is no access token')
  const token = space < 0 ? '' : (authorization?.slice(space).trim() ?? '')
  if (token === '') throw new VerifyError('bad_request', 'the Authorization header has no token')
  // How a web-standard Request shows two headers.
  if (token.includes(',')) throw new VerifyError('bad_request', 'the Authorization header is repeated')
  if (!/^[\w\-.~+/]+=*$/.test(token))
    throw new VerifyError('malformed', 'the token has characters of no token')
  return token
}

/** The token of a request to Node. @throws {VerifyError} missing_token, bad_request, malformed */
export function incomingToken({ headers, rawHeaders = [] }: IncomingShape): string {
  // Node keeps the first of two; whatever is before it may have looked at the other.
  const names = rawHeaders.filter((name, i) => i % 2 === 0 && name.length === 13)
  if (names.filter((name) => name.toLowerCase() === 'authorization').length > 1) {
    throw new VerifyError('bad_request', 'the Authorization header is repeated')
  }
  return bearerToken(headers.authorization)
}

/** @throws {VerifyError} insufficient_scope, insufficient_role */
export function checkRequirements(
  claims: AccessTokenClaims,
  { scopes = [], roles = [] }: Requirements,
): void {
  const granted = claims.scope?.split(' ') ?? []
  const lacking = scopes.find((scope) => !granted.includes(scope))
  if (lacking !== undefined) throw new VerifyError('insufficient_scope', `the scope ${lacking} is needed`)
  const role = roles.find((name) => !claims.roles?.includes(name))
  if (role !== undefined) throw new VerifyError('insufficient_role', `the role ${role} is needed`)
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: { readonly error: string; readonly error_description: string }
}

/** Our trouble, not the token's: a 401 would make the client throw a good token away. */
const UNAVAILABLE: readonly VerifyErrorCode[] = ['keys_unavailable', 'status_unavailable']

/** RFC 6750 §3.1; what is not here is `invalid_token`. */
const ERRORS: { readonly [code in VerifyErrorCode]?: readonly [status: number, error: string] } = {
  bad_request: [400, 'invalid_request'],
  insufficient_scope: [403, 'insufficient_scope'],
  insufficient_role: [403, 'insufficient_scope'],
}

export interface Challenge extends Requirements {
  /** Which door it is: `verifier.realm`. */
  readonly realm: string
}

/** What to answer (RFC 6750 §3). Rethrows what is no VerifyError. */
export function refusal(error: unknown, { realm, scopes = [] }: Challenge): Answer {
  if (!(error instanceof VerifyError)) throw error
  const { code, message } = error
  if (UNAVAILABLE.includes(code)) {
    return answer(503, { 'retry-after': '1' }, 'temporarily_unavailable', 'the token cannot be checked now')
  }
  // §3.1: who came without a token gets the challenge and no error code.
  if (code === 'missing_token') return answer(401, challenge({ realm }), 'unauthorized', message)
  const [status, name] = ERRORS[code] ?? [401, 'invalid_token']
  const scope = code === 'insufficient_scope' ? { scope: scopes.join(' ') } : {}
  return answer(
    status,
    challenge({ realm, error: name, error_description: message, ...scope }),
    name,
    message,
  )
}

function challenge(parameters: Record<string, string>): Record<string, string> {
  const pairs = Object.entries(parameters).map(([name, value]) => `${name}="${quotable(value)}"`)
  return { 'www-authenticate': `Bearer ${pairs.join(', ')}` }
}

function answer(status: number, headers: Record<string, string>, error: string, description: string): Answer {
  return {
    status,
    headers: { 'cache-control': 'no-store', ...headers },
    body: { error, error_description: description },
  }
}

/** RFC 6750 §3: no quote or backslash within a parameter. */
const quotable = (text: string): string => text.replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '?')
