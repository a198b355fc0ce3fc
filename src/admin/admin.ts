/**
 * What an administrator can do: one interface for each aggregate, in plain values with the names of the JSON that commands print
 * and the API sends. `local.ts` implements it on the store, `remote.ts` on the HTTP API; commands cannot tell which. A verb owns
 * validation, consequences, the compare-and-swap on the revision, and the audit event. Must not know a terminal, HTTP or HTML.
 * A new verb is a member of an interface in `admin/<aggregate>.ts`, its local implementation in the same file, a schema in
 * `admin/<aggregate>.schema.ts`, a route in `http/admin/`, and a line in remote.ts.
 */
import type { ApisAdmin } from './apis.ts'
import type { AuditAdmin } from './audit.ts'
import type { ClientsAdmin } from './clients.ts'
import type { FindingsAdmin } from './findings.ts'
import type { KeysAdmin } from './keys.ts'
import type { NodesAdmin } from './nodes.ts'
import type { RolesAdmin } from './roles.ts'
import type { SessionsAdmin } from './sessions.ts'
import type { UsersAdmin } from './users.ts'
import type { VerifiersAdmin } from './verifiers.ts'

export interface Admin {
  readonly clients: ClientsAdmin
  readonly apis: ApisAdmin
  readonly roles: RolesAdmin
  readonly users: UsersAdmin
  readonly sessions: SessionsAdmin
  readonly keys: KeysAdmin
  readonly verifiers: VerifiersAdmin
  readonly nodes: NodesAdmin
  readonly findings: FindingsAdmin
  readonly audit: AuditAdmin
}
