/**
 * Composes the audit trail: each event is a line in the log immediately, and a row in the store a little later. Must not know what
 * an event means. A new event is a name in events.ts.
 */
import type { Store } from '../store/index.ts'
import type { Clock, Logger, Random } from '../system.ts'
import type { AnchorKeeper } from './anchor.ts'
import { type Audit, type AuditFields, createAudit } from './events.ts'
import { type AuditLog, type AuditLogDeps, createAuditLog } from './log.ts'

export interface AuditTrail {
  readonly audit: Audit
  /** The copy in the store. */
  readonly auditLog: AuditLog
  /** Accepts the copy in the store as it is, and records that as an event. */
  readonly acceptAudit: (fields: AuditFields) => Promise<void>
}

export interface AuditTrailDeps {
  readonly store: Pick<Store, 'auditRows' | 'revisions'>
  readonly clock: Clock
  readonly random: Pick<Random, 'bytes'>
  readonly logger: Logger
  readonly keys: AuditLogDeps['keys']
  readonly anchor: AnchorKeeper
  /** If false, events go only to the log. */
  readonly stored: boolean
  /** How many rows may wait while the store is unavailable. */
  readonly maxWaiting: number
  /** Counts and traces the events. */
  readonly observe: (audit: Audit) => Audit
}

export function createAuditTrail(deps: AuditTrailDeps): AuditTrail {
  const { store, clock, random, logger, keys, anchor, stored, maxWaiting, observe } = deps
  const auditToLog = createAudit(logger)
  const auditLog = createAuditLog({
    rows: store.auditRows,
    clock,
    random,
    logger,
    keys,
    anchor,
    hasRing: async () => (await store.revisions.read()).ring > 0,
    alarm: (event, fields) => audit(event, fields),
    maxWaiting,
  })
  const auditToLogAndStore: Audit = (event, fields) => {
    auditToLog(event, fields)
    auditLog.record(event, fields)
  }
  const audit = observe(stored ? auditToLogAndStore : auditToLog)
  return {
    audit,
    auditLog,
    async acceptAudit(fields) {
      const now = clock.now()
      const entry = { event: 'audit.accepted', fields, since: now, at: now, count: 1 } as const
      await auditLog.accept(stored ? entry : null)
      observe(auditToLog)('audit.accepted', fields)
    },
  }
}
