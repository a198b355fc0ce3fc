/** Adds audit events to the span of the request: their names, and fields that do not identify a user. */
import type { Audit } from '../audit/events.ts'
import type { Spans } from './spans.ts'

export function traceAudit(audit: Audit, spans: Spans): Audit {
  return (event, fields) => {
    audit(event, fields)
    const span = spans.top()
    if (!span) return
    span.addEvent(event)
    const { client_id, grant_type, reason, detail } = fields
    if (client_id !== undefined) span.setAttribute('keyturn.client_id', client_id)
    if (grant_type !== undefined) span.setAttribute('keyturn.grant_type', grant_type)
    if (!event.endsWith('.refused')) return
    if (reason !== undefined) span.setAttribute('keyturn.error', reason)
    if (detail !== undefined) span.setAttribute('keyturn.error_detail', detail)
  }
}
