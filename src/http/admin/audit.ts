import { Type } from 'typebox'
import { AnchorQuery, AUDIT_FILTERS, AuditEvent, AuditVerdict } from '../../admin/audit.schema.ts'
import { pageOf } from '../../admin/schema.ts'
import { LIST_QUERY } from './query.ts'
import { adminRoute } from './route.ts'

const { limit, cursor } = LIST_QUERY
const AuditQuery = Type.Object({ ...AUDIT_FILTERS, limit, cursor }, { additionalProperties: false })

export const auditRoutes = [
  adminRoute('GET /audit', {
    scope: 'admin:audit',
    operationId: 'listAuditEvents',
    summary: 'List audit events, the newest first',
    query: AuditQuery,
    // A user or a client that nobody knows.
    problems: [404],
    response: pageOf(AuditEvent),
    handler: ({ audit }, { query }) => audit.list(query),
  }),
  adminRoute('GET /audit/verification', {
    scope: 'admin:audit',
    operationId: 'verifyAuditLog',
    summary: 'Check that no row of the audit log is missing or changed; reads the whole log',
    query: AnchorQuery,
    // Without the master key there is no verdict.
    problems: [409],
    response: AuditVerdict,
    handler: ({ audit }, { query }) => audit.verify(query.anchor),
  }),
]
