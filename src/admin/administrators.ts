/**
 * Rules about users who are administrators: none can gain rights through another's account, and the last one is not locked out by
 * mistake. Must not know which verb asks.
 */

import type { User } from '../store/contracts/users.ts'
import type { Store } from '../store/index.ts'
import { type Actor, assertMayGrant } from './actor.ts'
import { ADMIN_ROLE } from './built-ins.ts'
import { AdminError } from './errors.ts'

export interface Administrators {
  /** @throws {AdminError} not-allowed, if the roles give scopes of the administration that the actor does not have */
  assertMayGive(roles: readonly string[], username: string): Promise<void>
  /** The same for the roles that the user has, because the actor could otherwise act as this user. */
  assertMayChange(user: Pick<User, 'roles' | 'username'>): Promise<void>
  /** Whether a user with these roles would stop being an administrator. @param next undefined if the roles stay */
  isLost(roles: readonly string[], next: readonly string[] | undefined): boolean
  /** The role that somebody must have afterwards, if this user stops being an administrator; undefined if none must. */
  roleToKeep(user: Pick<User, 'roles' | 'disabled'>, force: boolean | undefined): string | undefined
  /**
   * Call before a user stops being an administrator or able to sign in.
   * @throws {AdminError} force-needed, if it is the last administrator or the actor, unless `force` is given
   */
  assertOthersLeft(user: User, force: boolean | undefined): Promise<void>
}

export function createAdministrators(
  { roles, users }: Pick<Store, 'roles' | 'users'>,
  actor: Actor,
): Administrators {
  async function assertMayGive(names: readonly string[], username: string): Promise<void> {
    if (actor.scopes === null) return
    for (const name of names) {
      const role = await roles.find(name)
      if (role) assertMayGrant(actor, role.scopes, `the role ${name} of ${username}`)
    }
  }

  return {
    assertMayGive,
    assertMayChange: (user) => assertMayGive(user.roles, user.username),

    isLost: (before, next) => next !== undefined && before.includes(ADMIN_ROLE) && !next.includes(ADMIN_ROLE),

    roleToKeep: (user, force) =>
      !force && user.roles.includes(ADMIN_ROLE) && !user.disabled ? ADMIN_ROLE : undefined,

    async assertOthersLeft(user, force) {
      if (force) return
      if (actor.name === `user:${user.id}`)
        throw new AdminError('force-needed', `${user.username} is the user that you are signed in as`)
      if (!user.roles.includes(ADMIN_ROLE) || user.disabled) return
      const others = (await users.idsWithRole(ADMIN_ROLE)).filter((id) => id !== user.id)
      if (others.length > 0) return
      const text = `${user.username} is the last user with the role ${ADMIN_ROLE}`
      throw new AdminError('force-needed', text)
    },
  }
}
