/** Token revocation (RFC 7009). Must not know HTTP. */
import type { Audit } from '../../audit/events.ts'
import type { StatusIndexAllocator } from '../../status/status-index-allocator.ts'
import type { ClientSessionStore } from '../../store/contracts/client-sessions.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { RevokedTokenStore } from '../../store/contracts/revoked-tokens.ts'
import type { StatusIndex, StatusStore } from '../../store/contracts/status.ts'
import type { AccessTokenClaims } from '../../tokens/access-token.ts'
import { auditFailure } from '../audit-failures.ts'
import type { AuthenticateClient } from '../client-auth/index.ts'
import { invalidRequest, unauthorizedClient } from '../errors.ts'
import type { ProtocolRequest } from '../parameters.ts'
import { type PresentedTokenDeps, readPresentedToken } from '../presented-token.ts'

export interface RevocationDeps extends PresentedTokenDeps {
  readonly authenticate: AuthenticateClient
  readonly clientSessions: ClientSessionStore
  readonly revokedTokens: RevokedTokenStore
  readonly status: Pick<StatusStore, 'revoke'>
  readonly statusIndexAllocator: Pick<StatusIndexAllocator, 'forSession'>
  /** The number of a status list, by its URI; null for a list of another server. */
  readonly listNumber: (uri: string) => number | null
  readonly audit: Audit
}

/** Resolves when the token is revoked, and also if the token is unknown (RFC 7009 §2.2). @throws {OAuthError} */
export type Revocation = (request: ProtocolRequest) => Promise<void>

export function createRevocation(deps: RevocationDeps): Revocation {
  return (request) =>
    auditFailure(deps.audit, 'revocation.refused', request, async (established) => {
      const client = await deps.authenticate(request)
      established.clientId = client.id
      const token = request.parameters.get('token')
      if (token === undefined) throw invalidRequest('token is missing')
      const presented = await readPresentedToken(deps, token)
      if (!presented) return
      if (presented.type === 'access_token') await revokeAccessToken(presented.claims, client, request)
      else await revokeSession(presented.parts.clientSessionId, client, request)
    })

  async function revokeAccessToken(claims: AccessTokenClaims, client: Client, request: ProtocolRequest) {
    assertOwner(claims.client_id, client)
    const entry = claims.status?.status_list
    const list = entry ? deps.listNumber(entry.uri) : null
    if (entry && list !== null) await revokeIndex({ list, idx: entry.idx }, claims)
    await deps.revokedTokens.add(claims.jti, claims.exp)
    auditRevocation(client, request, {
      jti: claims.jti,
      ...(claims.sid === undefined ? {} : { sid: claims.sid }),
    })
  }

  /**
   * All access tokens of a session share one index in the status list, so they are revoked together, which §2.1 allows. The
   * session continues with a new index, because revoking an access token must not sign the user out.
   */
  async function revokeIndex(index: StatusIndex, { sid, exp }: AccessTokenClaims) {
    const session = sid === undefined ? null : await deps.clientSessions.find(sid)
    if (!session || session.revokedAt !== null) return deps.status.revoke(index, exp)
    const newIndex = await deps.statusIndexAllocator.forSession(session.expiresAt)
    await deps.clientSessions.replaceStatus(session.id, index, newIndex)
  }

  /** A refresh token represents the session, so all tokens of the session are revoked (§2.1). */
  async function revokeSession(clientSessionId: string, client: Client, request: ProtocolRequest) {
    const session = await deps.clientSessions.find(clientSessionId)
    if (!session) return
    assertOwner(session.clientId, client)
    if (await deps.clientSessions.revoke(clientSessionId, deps.clock.now(), 'revoked by the client')) {
      auditRevocation(client, request, { sid: clientSessionId, sub: session.userId })
    }
  }

  function auditRevocation(
    client: Client,
    request: ProtocolRequest,
    fields: { jti?: string; sid?: string; sub?: string },
  ) {
    deps.audit('token.revoked', {
      actor: `client:${client.id}`,
      client_id: client.id,
      ...fields,
      ip: request.ip,
      request_id: request.requestId,
    })
  }
}

/** RFC 7009 §2.1: a client cannot revoke the token of another client. */
function assertOwner(owner: string, client: Client): void {
  if (owner !== client.id) {
    throw unauthorizedClient('the token was not issued to this client', { detail: 'other_client' })
  }
}
