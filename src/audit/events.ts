/**
 * The audit trail: one structured log line for each security event, with who did what from where. Must not contain secrets, or
 * know where the log is written. A new event is a line in `AUDIT_EVENTS` and a row in docs/operations.md; an event that anyone
 * or any user can cause is also in `AGGREGATED_EVENTS` or `ACTOR_EVENTS` of aggregation.ts, so that the log cannot be filled.
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
  'administration.refused',
  'client_session.revoked',
  'logout_token.delivered',
  'logout_token.failed',
  'client.authentication_failed',
  'keys.rotated',
  'keys.revoked',
  'keys.retired',
  'keys.created',
  'keys.lane_added',
  'keys.default_changed',
  'keys.lane_removed',
  'master_key.rotated',
  'data_key.removed',
  'api.changed',
  'client.changed',
  'role.changed',
  'user.changed',
  'verifier.expected',
  'verifier.deleted',
  'store.restored',
  'audit.broken',
  'audit.accepted',
  'audit.dropped',
] as const

export type AuditEvent = (typeof AUDIT_EVENTS)[number]

export interface AuditFields {
  /** Who acted: `client:<id>`, `user:<id>`, `operator:<login name>`, or `keyturn` for automatic actions. */
  actor?: string
  client_id?: string
  /** Id of the user whom the event is about. Absent if a login names an unknown user. */
  sub?: string
  sid?: string
  jti?: string
  /** The address the request came from. */
  ip?: string
  request_id?: string
  /** What happened, for events that cover several actions. */
  action?: string
  /** The object of the action. */
  target?: string
  grant_type?: string
  scope?: string
  /**
   * Why a request was refused or a session ended: an error code or a short constant, never user input. Also what an administrator
   * gives as the reason of `audit accept`.
   */
  reason?: string
  /** The exact cause, if the client gets one error for several causes. */
  detail?: FailureDetail
  kid?: string
  /** When a user was deleted: how many rows that name no user have lost an address of that user. */
  erased?: string
}

export type Audit = (event: AuditEvent, fields: AuditFields) => void

export function createAudit(logger: Logger): Audit {
  return (event, fields) => logger.info({ audit: event, ...fields })
}
