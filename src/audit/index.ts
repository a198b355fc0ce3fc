/**
 * Puts the audit trail together: a line in the log at once, and a row in the store a little later. Must not know what an event
 * means. A new event is a name in events.ts.
 */
import type { Store } from '../store/index.ts'
import type { Clock, Logger } from '../system.ts'
import { type Audit, createAudit } from './events.ts'
import { type AuditLog, type AuditLogDeps, createAuditLog } from './log.ts'

export interface AuditTrail {
  readonly audit: Audit
  /** The copy that the store keeps. */
  readonly auditLog: AuditLog
}

export interface AuditTrailDeps {
  readonly store: Pick<Store, 'auditRows' | 'revisions'>
  readonly clock: Clock
  readonly logger: Logger
  readonly keys: AuditLogDeps['keys']
  /** false: events go to the log alone. */
  readonly kept: boolean
  /** Events that may wait for a store that is away. */
  readonly maxWaiting: number
  /** Counts and traces what is recorded. */
  readonly observe: (audit: Audit) => Audit
}

export function createAuditTrail(deps: AuditTrailDeps): AuditTrail {
  const { store, clock, logger, keys, kept, maxWaiting, observe } = deps
  const toLog = createAudit(logger)
  const auditLog = createAuditLog({
    rows: store.auditRows,
    clock,
    logger,
    keys,
    hasRing: async () => (await store.revisions.read()).ring > 0,
    alarm: (event, fields) => audit(event, fields),
    mostWaiting: maxWaiting,
  })
  const toLogAndStore: Audit = (event, fields) => {
    toLog(event, fields)
    auditLog.record(event, fields)
  }
  const audit = observe(kept ? toLogAndStore : toLog)
  return { audit, auditLog }
}
