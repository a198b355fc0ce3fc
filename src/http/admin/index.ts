/** The list of the routes of the administration API. To add one, add it to the file of its resource, and a new file here. */
import { auditRoutes } from './audit.ts'
import { keyRoutes } from './keys.ts'
import { nodeRoutes } from './nodes.ts'
import { roleRoutes } from './roles.ts'
import type { AdminRoute } from './route.ts'
import { verifierRoutes } from './verifiers.ts'

export const adminRoutes: readonly AdminRoute[] = [
  ...roleRoutes,
  ...keyRoutes,
  ...verifierRoutes,
  ...nodeRoutes,
  ...auditRoutes,
]
