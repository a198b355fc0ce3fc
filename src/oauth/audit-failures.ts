/** One event in the audit trail for every request that is refused. Must not know what was requested. */
import type { Audit, AuditEvent, AuditFields } from '../audit/events.ts'
import { KeyturnError } from '../errors.ts'
import { OAuthError } from './errors.ts'
import type { ProtocolRequest } from './parameters.ts'

/**
 * What is known about the request by the time it is refused. Only names that are registered here: text that a stranger sent
 * does not belong in the audit trail.
 */
export interface Established {
  clientId?: string
  grantType?: string
}

/** Runs `work`. An error that it throws is audited as `event` and thrown again. */
export async function auditFailure<T>(
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
      ...failureFields(error),
      ip,
      request_id: requestId,
    })
    throw error
  }
}

/** What the audit trail says about an error: its code, and why exactly. Never the text. */
export function failureFields(error: unknown): Pick<AuditFields, 'reason' | 'detail'> {
  const detail = error instanceof OAuthError ? error.detail : undefined
  return { reason: reasonOf(error), ...(detail === undefined ? {} : { detail }) }
}

/** The code of the error. A programming mistake has none, and the client is told `server_error`. */
function reasonOf(error: unknown): string {
  return error instanceof KeyturnError ? error.code : 'server_error'
}
