/** RFC 6750 for any HTTP library: where the token is, what is asked of it, and how to say no. */
import type { AccessTokenClaims } from './claims.ts'
import { VerifyError, type VerifyErrorCode } from './errors.ts'

export interface Requirements {
  /** All of these (RFC 6750 §3.1). */
  readonly scopes?: readonly string[]
  /** All of these. */
  readonly roles?: readonly string[]
}

/**
 * The token of an `Authorization` header (RFC 6750 §2.1; the scheme's case does not matter, RFC 9110 §11.1).
 * A token in the query or the body is not looked for: URLs end up in logs (RFC 9700 §4.3.2).
 * @throws {VerifyError} missing_token, malformed
 */
export function bearerToken(authorization: string | readonly string[] | null | undefined): string {
  if (typeof authorization !== 'string') {
    throw authorization === null || authorization === undefined
      ? new VerifyError('missing_token', 'there is no access token')
      : new VerifyError('malformed', 'the Authorization header is repeated')
  }
  const [, token] = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(authorization) ?? []
  if (token !== undefined) return token
  if (/^Bearer(?: |$)/i.test(authorization))
    throw new VerifyError('malformed', 'the Authorization header is malformed')
  throw new VerifyError('missing_token', 'there is no access token')
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

/** Our trouble, not the token's: the client may try again (RFC 9110 §15.6.4). */
const UNAVAILABLE: readonly VerifyErrorCode[] = ['keys_unavailable', 'status_unavailable']
const FORBIDDEN: readonly VerifyErrorCode[] = ['insufficient_scope', 'insufficient_role']

/** What to answer (RFC 6750 §3). Rethrows what is no VerifyError. */
export function refusal(error: unknown, { scopes = [] }: Requirements = {}): Answer {
  if (!(error instanceof VerifyError)) throw error
  const { code, message } = error
  if (UNAVAILABLE.includes(code)) {
    return answer(503, { 'retry-after': '1' }, 'temporarily_unavailable', 'the token cannot be checked now')
  }
  // §3.1: who came without a token gets the challenge and no error code.
  if (code === 'missing_token') return answer(401, { 'www-authenticate': 'Bearer' }, 'unauthorized', message)
  const name = FORBIDDEN.includes(code) ? 'insufficient_scope' : 'invalid_token'
  const scope = code === 'insufficient_scope' ? `, scope="${scopes.join(' ')}"` : ''
  const challenge = `Bearer error="${name}", error_description="${quotable(message)}"${scope}`
  return answer(FORBIDDEN.includes(code) ? 403 : 401, { 'www-authenticate': challenge }, name, message)
}

function answer(status: number, headers: Record<string, string>, error: string, description: string): Answer {
  return {
    status,
    headers: { 'cache-control': 'no-store', ...headers },
    body: { error, error_description: description },
  }
}

/** RFC 6750 §3: no quote or backslash within an error_description. */
const quotable = (text: string): string => text.replace(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, '?')
