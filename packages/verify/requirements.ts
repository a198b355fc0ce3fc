/** What a route requires of a token, beyond that it is valid. */
import type { AccessTokenClaims } from './access-token-claims.ts'
import { VerifyError } from './errors.ts'

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
