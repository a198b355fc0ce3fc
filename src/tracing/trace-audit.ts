/** What the audit trail says of a request, on its span: the events' names, and fields that name nobody but clients. */
import type { Audit } from '../audit/events.ts'
import type { Spans } from './spans.ts'

export function traceAudit(audit: Audit, spans: Spans): Audit {
  return (event, fields) => {
    audit(event, fields)
    const span = spans.top()
    if (!span) return
    span.addEvent(event)
    const { client_id, grant_type, reason } = fields
    if (client_id !== undefined) span.setAttribute('keyturn.client_id', client_id)
    if (grant_type !== undefined) span.setAttribute('keyturn.grant_type', grant_type)
    if (reason !== undefined && event.endsWith('.refused')) span.setAttribute('keyturn.error', reason)
  }
}
