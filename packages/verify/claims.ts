/** The claims of an access token (RFC 9068 §2.2) and what is asked of them. */
import { VerifyError } from './errors.ts'

/** What a verified access token says (RFC 9068 §2.2); further claims of the issuer are kept as they are. */
export interface AccessTokenClaims {
  readonly iss: string
  readonly sub: string
  readonly aud: string | readonly string[]
  readonly client_id: string
  readonly iat: number
  readonly exp: number
  readonly jti: string
  /** Scopes, separated by spaces (RFC 8693 §4.2). */
  readonly scope?: string
  /** Names of the user's roles (RFC 9068 §2.2.3.1). */
  readonly roles?: readonly string[]
  readonly auth_time?: number
  /** The sign-in that the token comes from. */
  readonly sid?: string
  /** Where to ask whether it was taken back (Token Status List §6.2). */
  readonly status?: { readonly status_list?: { readonly idx: number; readonly uri: string } }
  readonly [claim: string]: unknown
}

export interface ClaimRules {
  readonly issuer: string
  /** One of these must be in `aud`. */
  readonly audiences: readonly string[]
  /** Seconds that clocks may differ. */
  readonly leeway: number
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)

/**
 * The checks of RFC 9068 §4 that do not depend on the time. `strict` asks for all that RFC 9068 requires; tokens of
 * another `typ`, whom the caller accepts, follow another profile.
 * @throws {VerifyError}
 */
export function checkClaims(
  claims: Record<string, unknown>,
  rules: ClaimRules,
  strict: boolean,
): AccessTokenClaims {
  if (claims.iss !== rules.issuer) throw new VerifyError('wrong_issuer', 'the token is of another issuer')
  if (!hasAudience(claims.aud, rules.audiences)) {
    throw new VerifyError('wrong_audience', 'the token is for another audience')
  }
  requireThat(isTime(claims.exp), 'exp')
  requireThat(claims.nbf === undefined || isTime(claims.nbf), 'nbf')
  requireThat(typeof claims.sub === 'string' && claims.sub !== '', 'sub')
  requireThat(claims.scope === undefined || typeof claims.scope === 'string', 'scope')
  requireThat(claims.roles === undefined || isStrings(claims.roles), 'roles')
  requireThat(claims.status === undefined || isStatus(claims.status), 'status')
  for (const name of ['client_id', 'jti']) {
    requireThat(typeof claims[name] === 'string' || (!strict && claims[name] === undefined), name)
  }
  requireThat(isTime(claims.iat) || (!strict && claims.iat === undefined), 'iat')
  return claims as unknown as AccessTokenClaims
}

/** The checks that do; also made each time a remembered token comes again. @throws {VerifyError} */
export function checkTimes(claims: AccessTokenClaims, leeway: number, now: number): void {
  if (now >= claims.exp + leeway) throw new VerifyError('expired', 'the token has expired')
  const start = Math.max((claims.nbf as number | undefined) ?? 0, claims.iat ?? 0)
  if (now < start - leeway) throw new VerifyError('not_yet_valid', 'the token is of the future')
}

function requireThat(fine: boolean, name: string): void {
  if (!fine) throw new VerifyError('bad_claims', `the claim ${name} is missing or of the wrong type`)
}

function hasAudience(aud: unknown, wanted: readonly string[]): boolean {
  if (typeof aud === 'string') return wanted.includes(aud)
  return isStrings(aud) && aud.some((one) => wanted.includes(one))
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
