/** Counts audit events where they are recorded, so that no caller can forget to count them. */
import { Counter, type Registry } from 'prom-client'
import { AUDIT_EVENTS, type Audit, type AuditEvent } from '../audit/events.ts'
import type { ErrorCode } from '../errors.ts'
import { statuses } from '../oauth/errors.ts'
import { GRANT_NAMES } from '../oauth/grants/index.ts'

/** The endpoint of each event for a refused request. */
export const REFUSALS: Readonly<Partial<Record<AuditEvent, string>>> = {
  'token.refused': '/oauth2/token',
  'revocation.refused': '/oauth2/revoke',
  'introspection.refused': '/oauth2/introspect',
  'par.refused': '/oauth2/par',
  'userinfo.refused': '/oauth2/userinfo',
  'administration.refused': '/admin/v1',
  'authorization.refused': '/oauth2/authorize',
}

/** These errors have their own codes in the audit trail; the client gets `temporarily_unavailable`. */
const TEMPORARY: readonly ErrorCode[] = ['store_unavailable', 'store_damaged', 'overloaded', 'rate_limited']

function codeOf(reason = ''): string {
  if (Object.hasOwn(statuses, reason)) return reason
  return TEMPORARY.some((code) => code === reason) ? 'temporarily_unavailable' : 'server_error'
}

export function countAudit(audit: Audit, registers: Registry[]): Audit {
  const events = new Counter({
    name: 'keyturn_audit_events_total',
    help: 'Events of the audit trail, whether or not the log shows them.',
    labelNames: ['event'],
    registers,
  })
  const issued = new Counter({
    name: 'keyturn_tokens_issued_total',
    help: 'Access tokens that were issued.',
    labelNames: ['grant'],
    registers,
  })
  const refused = new Counter({
    name: 'keyturn_refusals_total',
    help: 'Requests that were refused, by the error code of the response.',
    labelNames: ['endpoint', 'error'],
    registers,
  })
  // Counters start at zero: a series that first appears with the value 1 is not an increase, and no alert would fire.
  for (const event of AUDIT_EVENTS) events.inc({ event }, 0)
  for (const grant of GRANT_NAMES) issued.inc({ grant }, 0)
  for (const endpoint of Object.values(REFUSALS)) {
    for (const error of ['temporarily_unavailable', 'server_error']) refused.inc({ endpoint, error }, 0)
  }

  return (event, fields) => {
    audit(event, fields)
    events.inc({ event })
    const endpoint = REFUSALS[event]
    if (endpoint !== undefined) refused.inc({ endpoint, error: codeOf(fields.reason) })
    else if (event === 'token.issued') issued.inc({ grant: fields.grant_type ?? '' })
  }
}
