/** Administration on the store of this process: for commands on the host, and behind the HTTP API. Must not know who calls it. */
import type { Actor } from './actor.ts'
import type { Admin } from './admin.ts'
import { createApisAdmin } from './apis.ts'
import { createAuditAdmin } from './audit.ts'
import { createClientsAdmin } from './clients.ts'
import type { LocalDeps } from './deps.ts'
import { createFindingsAdmin } from './findings.ts'
import { createKeysAdmin } from './keys.ts'
import { createNodesAdmin } from './nodes.ts'
import { createRolesAdmin } from './roles.ts'
import { createSessionsAdmin } from './sessions.ts'
import { createUsersAdmin } from './users.ts'
import { createVerifiersAdmin } from './verifiers.ts'

/** The parts that all administrators share are created once for a process. */
export function createLocalAdmin(deps: LocalDeps): (actor: Actor) => Admin {
  const findings = createFindingsAdmin(deps)
  return (actor) => ({
    clients: createClientsAdmin(deps, actor),
    apis: createApisAdmin(deps, actor),
    roles: createRolesAdmin(deps, actor),
    users: createUsersAdmin(deps, actor),
    sessions: createSessionsAdmin(deps, actor),
    keys: createKeysAdmin(deps, actor),
    verifiers: createVerifiersAdmin(deps, actor),
    nodes: createNodesAdmin(deps),
    findings,
    audit: createAuditAdmin(deps),
  })
}
