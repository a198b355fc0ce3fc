/** One line in the audit trail for every request that is refused. Must not know what was asked for. */
import type { Audit, AuditEvent } from '../audit/events.ts'
import { OAuthError } from './errors.ts'
import type { ProtocolRequest } from './parameters.ts'

/**
 * What has been established about the request by the time it is refused. Only names that are ours: what a
 * stranger sent does not belong into the trail.
 */
export interface Established {
  clientId?: string
  grantType?: string
}

/** Does `work`; what it throws is audited as `event` and thrown on. */
export async function auditRefusal<T>(
  audit: Audit,
  event: AuditEvent,
  { ip, requestId }: ProtocolRequest,
  work: (established: Established) => Promise<T>,
): Promise<T> {
  const established: Established = {}
  try {
    return await work(established)
  } catch (error) {
    const { clientId, grantType } = established
    audit(event, {
      ...(clientId === undefined ? {} : { actor: `client:${clientId}`, client_id: clientId }),
      ...(grantType === undefined ? {} : { grant_type: grantType }),
      reason: reasonOf(error),
      ip,
      request_id: requestId,
    })
    throw error
  }
}

/** The code, or the class of what has no code yet, e.g. StoreUnavailable; never the text. */
export function reasonOf(error: unknown): string {
  return error instanceof OAuthError ? error.code : (error as Error).name
}
