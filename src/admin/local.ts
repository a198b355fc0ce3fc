/** Administration on the store of this process: for commands on the host, and behind the HTTP API. Must not know who calls it. */
import type { Actor } from './actor.ts'
import type { Admin } from './admin.ts'
import type { LocalDeps } from './deps.ts'
import { createRolesAdmin } from './roles.ts'

export function createLocalAdmin(deps: LocalDeps, actor: Actor): Admin {
  return { roles: createRolesAdmin(deps, actor) }
}
