/** Counts on the way to the audit trail: what is audited is counted, so that nothing can be forgotten. */
import { Counter, type Registry } from 'prom-client'
import { AUDIT_EVENTS, type Audit, type AuditEvent } from '../audit/events.ts'
import type { ErrorCode } from '../errors.ts'
import { statuses } from '../oauth/errors.ts'
import { GRANT_NAMES } from '../oauth/grants/index.ts'

/** Where requests are refused, by the event that says so. */
export const REFUSALS: Readonly<Partial<Record<AuditEvent, string>>> = {
  'token.refused': '/oauth2/token',
  'revocation.refused': '/oauth2/revoke',
  'introspection.refused': '/oauth2/introspect',
  'par.refused': '/oauth2/par',
  'userinfo.refused': '/oauth2/userinfo',
  'authorization.refused': '/oauth2/authorize',
}

/** Errors that have no OAuth code where they are audited, and are answered with `temporarily_unavailable`. */
const NOT_NOW: readonly ErrorCode[] = ['store_unavailable', 'store_damaged', 'overloaded', 'rate_limited']

function codeOf(reason = ''): string {
  if (Object.hasOwn(statuses, reason)) return reason
  return NOT_NOW.some((code) => code === reason) ? 'temporarily_unavailable' : 'server_error'
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
    help: 'Requests that were refused, with what the client was told.',
    labelNames: ['endpoint', 'error'],
    registers,
  })
  // From zero: a first event that appears as 1 is no increase, and no alert would see it.
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
