/** The list of the routes of the administration API. To add one, add it to the file of its resource, and a new file here. */
import { apiRoutes } from './apis.ts'
import { auditRoutes } from './audit.ts'
import { clientRoutes } from './clients.ts'
import { findingRoutes } from './findings.ts'
import { keyRoutes } from './keys.ts'
import { nodeRoutes } from './nodes.ts'
import { roleRoutes } from './roles.ts'
import type { AdminRoute } from './route.ts'
import { sessionRoutes } from './sessions.ts'
import { userRoutes } from './users.ts'
import { verifierRoutes } from './verifiers.ts'

export const adminRoutes: readonly AdminRoute[] = [
  ...clientRoutes,
  ...apiRoutes,
  ...roleRoutes,
  ...userRoutes,
  ...sessionRoutes,
  ...keyRoutes,
  ...verifierRoutes,
  ...nodeRoutes,
  ...findingRoutes,
  ...auditRoutes,
]

/** What each resource is, for the OpenAPI document. */
export const resources: Readonly<Record<string, string>> = {
  clients: 'Applications and services that get tokens, with their secrets.',
  apis: 'Services that accept tokens, and the scopes that they own.',
  roles: 'Named sets of scopes that users may have.',
  users: 'People who sign in.',
  checks: 'Whether a value would be accepted; a check changes nothing.',
  sessions: 'Client sessions: what a user granted to a client by signing in.',
  keys: 'The key ring: the keys that sign tokens, and their rotation.',
  lanes: 'The algorithms with which the key ring signs.',
  verifiers: 'Services that verify tokens and have identified themselves, and those that rotations wait for.',
  nodes: 'The serving processes.',
  findings:
    'What the process that answers finds when it checks its files, its disk, the database, the key ring and the nodes. It checks at most every ten seconds.',
  audit: 'The audit log: events in a chain that shows whether a row is missing or changed.',
}
