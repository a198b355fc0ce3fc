/** What a route requires of a token, besides being valid. */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { VerifyError } from './errors.ts'
import { refuseUnknown } from './unknown-options.ts'

export interface AuthenticationRequirements {
  /** The user must have authenticated at one of these levels: `acr` must be equal to one of them (RFC 9470 §3). */
  readonly acr?: string | readonly string[] | undefined
  /** The user must have authenticated at most this many seconds ago (RFC 9470 §3). */
  readonly maxAge?: number | undefined
}

export interface Requirements extends AuthenticationRequirements {
  /** The token must have all of these scopes (RFC 6750 §3.1). */
  readonly scopes?: readonly string[]
  /** The user must have all of these roles (RFC 9068 §2.2.3.1). */
  readonly roles?: readonly string[]
}

/** The time at which a request is checked. */
export interface CheckTime {
  /** Seconds since 1970. */
  readonly now: number
  /** How far clocks may differ, in seconds. */
  readonly leeway: number
}

/** @throws {VerifyError} insufficient_authentication, insufficient_scope, insufficient_role */
export function checkRequirements(
  claims: AccessTokenClaims,
  { scopes = [], roles = [], ...authentication }: Requirements,
  time: CheckTime = { now: Date.now() / 1000, leeway: 30 },
): void {
  checkAuthentication(claims, authentication, time)
  const granted = claims.scope?.split(' ') ?? []
  const scope = scopes.find((name) => !granted.includes(name))
  if (scope !== undefined) throw new VerifyError('insufficient_scope', `the scope ${scope} is required`)
  const role = roles.find((name) => !claims.roles?.includes(name))
  if (role !== undefined) throw new VerifyError('insufficient_role', `the role ${role} is required`)
}

/** A token without `acr` or `auth_time` does not meet a requirement for it. @throws {VerifyError} insufficient_authentication */
export function checkAuthentication(
  { acr, auth_time: authTime }: AccessTokenClaims,
  { acr: accepted, maxAge }: AuthenticationRequirements,
  { now, leeway }: CheckTime,
): void {
  const levels = accepted === undefined ? undefined : [accepted].flat()
  const refuse = (message: string) => {
    const values = levels && { acr_values: levels.join(' ') }
    const age = maxAge === undefined ? undefined : { max_age: String(maxAge) }
    // Both requirements, so that the client does not come back with a token that meets only one.
    return new VerifyError('insufficient_authentication', message, { challenge: { ...values, ...age } })
  }
  if (levels && !levels.some((one) => one === acr))
    throw refuse('another level of authentication is required')
  if (maxAge !== undefined && !(typeof authTime === 'number' && now - authTime <= maxAge + leeway)) {
    throw refuse('a more recent authentication is required')
  }
}

/** @throws {TypeError} if a requirement could not be met by any token, or cannot be sent in a challenge */
export function resolveAuthentication({
  acr,
  maxAge,
}: AuthenticationRequirements): AuthenticationRequirements {
  const levels = acr === undefined ? undefined : [acr].flat()
  // The challenge separates values by spaces. A quote or backslash would end the parameter (RFC 6750 §3).
  if (levels && !(levels.length > 0 && levels.every((one) => /^[\x21\x23-\x5B\x5D-\x7E]+$/.test(one)))) {
    throw new TypeError('acr (requireAcr) must have at least one value, without spaces')
  }
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0)) {
    throw new TypeError('maxAge (requireMaxAge) must be a whole number of seconds')
  }
  return { acr: levels, maxAge }
}

/**
 * Arguments of `requireRole`: names of roles, then optionally the scopes that are required too. A role says who the
 * user is, a scope what the client may do for the user. Keyturn puts a role into a token only together with a scope
 * that the role grants at this API, so a role alone proves only that some access was granted. If a role grants several
 * scopes, name the required one.
 */
export type RoleArguments =
  | readonly [...string[]]
  | readonly [...string[], { readonly scope: string | readonly string[] }]

export function roleRequirements(args: RoleArguments): Requirements {
  const { names: roles, options } = split('requireRole', args, 'scope')
  if (options === undefined) return { roles }
  const scopes = [options.scope].flat()
  return { roles, scopes: namesOf('requireRole: scope', scopes) }
}

/** @throws {TypeError} unless there is at least one scope */
export const scopeRequirements = (scopes: readonly string[]): Requirements => ({
  scopes: namesOf('requireScope', scopes),
})

/** Arguments of `requireAcr`: accepted values of `acr`, one of which the token must have, then optionally how old the authentication may be. */
export type AcrArguments = readonly [...string[]] | readonly [...string[], { readonly maxAge: number }]

export function acrRequirements(args: AcrArguments): Requirements {
  const { names: acr, options } = split('requireAcr', args, 'maxAge')
  return options === undefined
    ? resolveAuthentication({ acr })
    : { ...resolveAuthentication({ acr }), ...maxAgeRequirements(options.maxAge as number) }
}

/** The names among the arguments of a guard, and the options that may follow them. @throws {TypeError} */
function split<Option extends string>(guard: string, args: readonly unknown[], option: Option) {
  const last = args.at(-1)
  if (typeof last !== 'object' || last === null) return { names: namesOf(guard, args), options: undefined }
  refuseUnknown(guard, last, [option])
  return { names: namesOf(guard, args.slice(0, -1)), options: last as Record<Option, unknown> }
}

/** A missing name, such as that of a variable that is not set, must not become a missing requirement. @throws {TypeError} */
function namesOf(guard: string, given: readonly unknown[]): string[] {
  const names = given.filter((name) => typeof name === 'string' && name !== '')
  if (names.length === 0 || names.length < given.length)
    throw new TypeError(`${guard} needs at least one name, and only names that are not empty`)
  return names as string[]
}

export function maxAgeRequirements(seconds: number): Requirements {
  // A missing number must not become a missing requirement.
  return { maxAge: resolveAuthentication({ maxAge: seconds ?? Number.NaN }).maxAge }
}
