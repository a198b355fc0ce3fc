/**
 * Accepts the audit log as it is found. Only for an operator on the host: a stolen token of the API must not be enough to end an alarm
 * about the log, and the anchor is a file on the host.
 */
import type { AuditTrail } from '../audit/index.ts'
import type { AuditLog } from '../audit/log.ts'
import { type InspectDeps, inspect } from './audit.ts'
import { conflict } from './errors.ts'

export interface AcceptDeps extends InspectDeps {
  readonly acceptAudit: AuditTrail['acceptAudit']
  readonly auditLog: Pick<AuditLog, 'keepAnchor'>
}

export interface Acceptance {
  /** The findings until now. */
  readonly accepted: readonly string[]
  /** Findings about rows, which stay until the rows are pruned: no acceptance can tell what was in them. */
  readonly left: readonly string[]
  readonly head: string | null
}

/** @throws {AdminError} conflict, if the log is intact */
export async function acceptLog(deps: AcceptDeps, actor: string, reason: string): Promise<Acceptance> {
  const { findings: accepted } = await inspect(deps)
  if (accepted.length === 0) throw conflict('the audit log is intact: there is nothing to accept')
  const kept = deps.record.read()
  await deps.acceptAudit({
    actor,
    reason,
    ...(kept ? { target: `${kept.seq}:${kept.hash}` } : {}),
  })
  await deps.auditLog.keepAnchor()
  const { findings: left, head } = await inspect(deps)
  return { accepted, left, head }
}
