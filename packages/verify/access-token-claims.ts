/** The claims of an access token (RFC 9068 §2.2), and the checks that they must pass. */
import { type Confirmation, readConfirmation } from './confirmation.ts'
import { VerifyError } from './errors.ts'

/** The claims of a verified access token (RFC 9068 §2.2). Further claims of the issuer are kept unchanged. */
export interface AccessTokenClaims {
  readonly iss: string
  readonly sub: string
  readonly aud: string | readonly string[]
  readonly client_id: string
  /** When the token was issued, in seconds since 1970. */
  readonly iat: number
  /** When the token expires, in seconds since 1970. */
  readonly exp: number
  readonly jti: string
  /** The granted scopes, separated by spaces (RFC 8693 §4.2). */
  readonly scope?: string
  /** The names of the user's roles (RFC 9068 §2.2.3.1). */
  readonly roles?: readonly string[]
  /** When the user signed in, in seconds since 1970. */
  readonly auth_time?: number
  /** The level of the user's authentication (RFC 9068 §2.2.1). */
  readonly acr?: string
  /** The key and the certificate that the token is bound to (RFC 9449 §6.1, RFC 8705 §3.1). */
  readonly cnf?: Confirmation
  /** Identifies the user's session at the issuer. */
  readonly sid?: string
  /** The token's entry in a status list (Token Status List §6.2). */
  readonly status?: { readonly status_list?: { readonly idx: number; readonly uri: string } }
  readonly [claim: string]: unknown
}

interface ClaimRules {
  readonly issuer: string
  /** `aud` must contain one of these. */
  readonly audiences: readonly string[]
  /** How far clocks may differ, in seconds. */
  readonly leeway: number
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)

/**
 * Performs the checks of RFC 9068 §4 that do not depend on the time. With `strict`, every claim that RFC 9068 requires
 * must be present; without, `client_id`, `jti` and `iat` may be missing, because tokens of another `typ` follow another
 * profile.
 * @throws {VerifyError} wrong_issuer, wrong_audience, bad_claims, unsupported_binding
 */
export function checkClaims(
  claims: Record<string, unknown>,
  rules: ClaimRules,
  strict: boolean,
): AccessTokenClaims {
  if (claims.iss !== rules.issuer) {
    // The message may be sent to the client; the cause, which tells an operator what to correct, is only logged.
    const cause = new Error(
      `iss is ${JSON.stringify(claims.iss)?.slice(0, 200)}, the option issuer is "${rules.issuer}"`,
    )
    throw new VerifyError('wrong_issuer', 'the token was issued by another issuer', { cause })
  }
  if (!hasAudience(claims.aud, rules.audiences)) {
    throw new VerifyError('wrong_audience', 'the token is for another audience')
  }
  checkClaim(isTime(claims.exp), 'exp')
  checkClaim(claims.nbf === undefined || isTime(claims.nbf), 'nbf')
  checkClaim(typeof claims.sub === 'string' && claims.sub !== '', 'sub')
  checkClaim(claims.scope === undefined || typeof claims.scope === 'string', 'scope')
  checkClaim(claims.roles === undefined || isStrings(claims.roles), 'roles')
  checkClaim(claims.status === undefined || isStatus(claims.status), 'status')
  for (const name of ['client_id', 'jti']) {
    checkClaim(typeof claims[name] === 'string' || (!strict && claims[name] === undefined), name)
  }
  if (claims.cnf !== undefined) readConfirmation(claims.cnf)
  checkClaim(isTime(claims.iat) || (!strict && claims.iat === undefined), 'iat')
  return claims as unknown as AccessTokenClaims
}

/** Performs the checks that depend on the time; they are repeated for a cached token. @throws {VerifyError} */
export function checkTimes(claims: AccessTokenClaims, leeway: number, now: number): void {
  if (now >= claims.exp + leeway) throw new VerifyError('expired', 'the token has expired')
  const validFrom = Math.max((claims.nbf as number | undefined) ?? 0, claims.iat ?? 0)
  if (now < validFrom - leeway) throw new VerifyError('not_yet_valid', 'the token is not valid yet')
}

function checkClaim(valid: boolean, name: string): void {
  if (!valid) throw new VerifyError('bad_claims', `the claim ${name} is missing or has the wrong type`)
}

function hasAudience(aud: unknown, accepted: readonly string[]): boolean {
  if (typeof aud === 'string') return accepted.includes(aud)
  return isStrings(aud) && aud.some((one) => accepted.includes(one))
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}

function isStatus(value: unknown): boolean {
  if (!isObject(value)) return false
  const list = value.status_list
  if (list === undefined) return true
  return (
    isObject(list) &&
    Number.isSafeInteger(list.idx) &&
    (list.idx as number) >= 0 &&
    typeof list.uri === 'string'
  )
}
