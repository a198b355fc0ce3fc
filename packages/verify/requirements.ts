/** What a route requires of a token, besides being valid. */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { VerifyError } from './errors.ts'
import { refuseUnknown } from './unknown-options.ts'

export interface Requirements {
  /** The token must have all of these scopes (RFC 6750 §3.1). */
  readonly scopes?: readonly string[]
  /** The user must have all of these roles (RFC 9068 §2.2.3.1). */
  readonly roles?: readonly string[]
}

/** @throws {VerifyError} insufficient_scope, insufficient_role */
export function checkRequirements(
  claims: AccessTokenClaims,
  { scopes = [], roles = [] }: Requirements,
): void {
  const granted = claims.scope?.split(' ') ?? []
  const scope = scopes.find((name) => !granted.includes(name))
  if (scope !== undefined) throw new VerifyError('insufficient_scope', `the scope ${scope} is required`)
  const role = roles.find((name) => !claims.roles?.includes(name))
  if (role !== undefined) throw new VerifyError('insufficient_role', `the role ${role} is required`)
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
  const last = args.at(-1)
  if (typeof last === 'object') refuseUnknown('requireRole', last, ['scope'])
  const roles = (args as readonly unknown[]).filter((arg) => typeof arg === 'string')
  return typeof last === 'object' ? { roles, scopes: [last.scope].flat() } : { roles }
}
