import { Nodes } from '../../admin/nodes.schema.ts'
import { ListQuery } from './query.ts'
import { adminRoute } from './route.ts'

export const nodeRoutes = [
  adminRoute('GET /nodes', {
    scope: 'admin:read',
    operationId: 'listNodes',
    summary: 'List the serving nodes, oldest start first',
    query: ListQuery,
    response: Nodes,
    handler: ({ nodes }, { query }) => nodes.list(query),
  }),
]
