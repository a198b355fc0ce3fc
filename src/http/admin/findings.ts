import { Findings } from '../../admin/findings.schema.ts'
import { adminRoute } from './route.ts'

export const findingRoutes = [
  adminRoute('GET /findings', {
    scope: 'admin:read',
    operationId: 'listFindings',
    summary: 'Check the files, the disk, the database, the ring and the nodes',
    response: Findings,
    handler: ({ findings }) => findings.list(),
  }),
]
