/** The list of the routes of the administration API. To add one, add it to the file of its resource, and a new file here. */
import { roleRoutes } from './roles.ts'
import type { AdminRoute } from './route.ts'

export const adminRoutes: readonly AdminRoute[] = [...roleRoutes]
