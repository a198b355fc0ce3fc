/**
 * The audit trail: one structured line for each security event, saying who did what from where.
 * Must not know: where lines end up (the log's business), or any secret. Add an event to the list below.
 */
import type { Logger } from '../system.ts'
import type { FailureDetail } from './failure-details.ts'

export const AUDIT_EVENTS = [
  'login.succeeded',
  'login.failed',
  'login.rate_limited',
  'factor.enrolled',
  'factor.removed',
  'factor.used',
  'factor.failed',
  'user_session.started',
  'user_session.ended',
  'authorization.refused',
  'consent.granted',
  'consent.denied',
  'consent.withdrawn',
  'code.issued',
  'code.reuse_detected',
  'par.refused',
  'token.issued',
  'token.refused',
  'token.revoked',
  'token.reuse_detected',
  'revocation.refused',
  'introspection.refused',
  'userinfo.refused',
  'client_session.revoked',
  'logout_token.delivered',
  'logout_token.failed',
  'client.authentication_failed',
  'keys.rotated',
  'keys.revoked',
  'keys.retired',
  'keys.created',
  'master_key.rotated',
  'data_key.removed',
  'api.changed',
  'client.changed',
  'role.changed',
  'user.changed',
  'verifier.deleted',
  'audit.broken',
  'audit.dropped',
] as const

export type AuditEvent = (typeof AUDIT_EVENTS)[number]

export interface AuditFields {
  /** Who acted: `client:<id>`, `user:<id>`, `operator:<login name>`, `keyturn` for what it does by itself. */
  actor?: string
  client_id?: string
  /** The user concerned, by id; a failed login of an unknown name says only that. */
  sub?: string
  sid?: string
  jti?: string
  /** The address the request came from. */
  ip?: string
  request_id?: string
  /** What exactly happened, for events that cover several things. */
  action?: string
  /** What was acted upon. */
  target?: string
  grant_type?: string
  scope?: string
  /** Why it was refused; an error code or a short constant, never user input. */
  reason?: string
  /** Why exactly, where the client gets one answer for several reasons. */
  detail?: FailureDetail
  kid?: string
}

export type Audit = (event: AuditEvent, fields: AuditFields) => void

export function createAudit(logger: Logger): Audit {
  return (event, fields) => logger.info({ audit: event, ...fields })
}
