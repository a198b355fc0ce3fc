/** Who administers, and the rule that no administrator can gain rights through what it changes. Must not know how it signed in. */
import { isAdminScope } from './built-ins.ts'
import { AdminError } from './errors.ts'

export interface Actor {
  /** As in the audit trail: `operator:<login name>`, `user:<id>` or `client:<id>`. */
  readonly name: string
  /** The scopes of its access token; null for an operator at the host, who has the database anyway. */
  readonly scopes: ReadonlySet<string> | null
}

/**
 * Every verb that gives scopes (to a client, to a role, to a user by a role) asks this, and every verb that lets its caller act as
 * somebody else: a new secret of a client, a new password of a user.
 * @param what for the message: `the role clerk`
 * @throws {AdminError} not-allowed, if one of the scopes is of the administration and the actor does not have it
 */
export function assertMayGrant({ scopes: own }: Actor, scopes: Iterable<string>, what: string): void {
  if (own === null) return
  const missing = [...scopes].filter((scope) => isAdminScope(scope) && !own.has(scope))
  if (missing.length === 0) return
  throw new AdminError('not-allowed', `${what} has ${missing.join(', ')}, which you do not have yourself`)
}
