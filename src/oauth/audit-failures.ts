/** Records one audit event for every refused request. Must not know what was requested. */
import type { Audit, AuditEvent, AuditFields } from '../audit/events.ts'
import { KeyturnError } from '../errors.ts'
import { OAuthError } from './errors.ts'
import type { ProtocolRequest } from './parameters.ts'

/**
 * What is known about a request when it is refused. Contains only registered names, because text from strangers does not
 * belong in the audit trail.
 */
export interface Established {
  clientId?: string
  grantType?: string
}

/** Runs `work`. If it throws, the error is recorded as `event` in the audit trail and rethrown. */
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

/** The audit fields of an error: its code and detail, never its message. */
export function failureFields(error: unknown): Pick<AuditFields, 'reason' | 'detail'> {
  const detail = error instanceof OAuthError ? error.detail : undefined
  return { reason: reasonOf(error), ...(detail === undefined ? {} : { detail }) }
}

/** The code of the error. A programming error has none; the client gets `server_error`. */
function reasonOf(error: unknown): string {
  return error instanceof KeyturnError ? error.code : 'server_error'
}
