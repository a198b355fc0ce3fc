/** Token revocation (RFC 7009). Must not know HTTP. */
import type { WriteLimiter } from '../../accounts/write-limiter.ts'
import type { Audit } from '../../audit/events.ts'
import { singleFlightByKey } from '../../single-flight.ts'
import type { StatusIndexAllocator } from '../../status/status-index-allocator.ts'
import type { ClientSessionStore } from '../../store/contracts/client-sessions.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { RevokedTokenStore } from '../../store/contracts/revoked-tokens.ts'
import type { StatusIndex } from '../../store/contracts/status.ts'
import type { AccessTokenClaims } from '../../tokens/access-token.ts'
import { auditFailure } from '../audit-failures.ts'
import type { AuthenticateClient } from '../client-auth/index.ts'
import { invalidRequest, OAuthError, unauthorizedClient } from '../errors.ts'
import type { ProtocolRequest } from '../parameters.ts'
import { type PresentedTokenDeps, readPresentedToken } from '../presented-token.ts'

export interface RevocationDeps extends PresentedTokenDeps {
  readonly authenticate: AuthenticateClient
  readonly clientSessions: ClientSessionStore
  readonly revokedTokens: RevokedTokenStore
  readonly writeLimiter: WriteLimiter
  readonly statusIndexAllocator: Pick<StatusIndexAllocator, 'forSession'>
  /** The number of a status list, by its URI; null for a list of another server. */
  readonly listNumber: (uri: string) => number | null
  readonly audit: Audit
}

/** Resolves when the token is revoked, and also if the token is unknown (RFC 7009 §2.2). @throws {OAuthError} */
export type Revocation = (request: ProtocolRequest) => Promise<void>

export function createRevocation(deps: RevocationDeps): Revocation {
  const { writeLimiter } = deps
  const oncePerSession = singleFlightByKey<string, void>()
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
    const { jti, sid, status } = claims
    const list = deps.listNumber(status.status_list.uri)
    const index = list === null ? null : { list, idx: status.status_list.idx }
    if (sid === undefined || index === null) {
      if (await revokeSingleToken(claims, index, client)) auditRevocation(client, request, { jti })
      return
    }
    // Concurrent requests for the tokens of one session take one new index, and not one each.
    await oncePerSession(sid, async () => {
      if (await revokeIndexOf(sid, index)) auditRevocation(client, request, { jti, sid })
    })
  }

  /** False if the token was revoked before. */
  async function revokeSingleToken(
    { jti, exp }: AccessTokenClaims,
    index: StatusIndex | null,
    client: Client,
  ) {
    if (await deps.revokedTokens.has(jti)) return false
    const wait = writeLimiter.take('revocation', client.id)
    // RFC 7009 §2.2.1: the client must assume that the token is still valid, and try again later.
    if (wait > 0) {
      throw new OAuthError('temporarily_unavailable', 'too many tokens were revoked, try again later', {
        status: 503,
        retryAfter: wait,
      })
    }
    return deps.revokedTokens.add(jti, exp, index)
  }

  /**
   * All access tokens of a session share one index in the status list, so they are revoked together, which §2.1 allows. The
   * session continues with a new index, because revoking an access token must not sign the user out. But every new index occupies
   * the status lists until the session would have expired. So a session whose access tokens are revoked again and again is itself
   * revoked, which §2.1 allows too. Returns false if the token was already revoked.
   */
  async function revokeIndexOf(sid: string, index: StatusIndex): Promise<boolean> {
    const session = await deps.clientSessions.find(sid)
    if (!session || session.revokedAt !== null) return false
    // The token has an earlier index of the session: the revocation of this index has already revoked this token.
    if (session.status.list !== index.list || session.status.idx !== index.idx) return false
    if (writeLimiter.take('sessionRevocation', session.id) > 0) {
      return deps.clientSessions.revoke(session.id, deps.clock.now(), 'too many access tokens were revoked')
    }
    const fresh = await deps.statusIndexAllocator.forSession(session.expiresAt)
    return deps.clientSessions.replaceStatus(session.id, index, fresh)
  }

  /** A refresh token represents the session, so all tokens of the session are revoked (§2.1). */
  async function revokeSession(clientSessionId: string, client: Client, request: ProtocolRequest) {
    const session = await deps.clientSessions.find(clientSessionId)
    if (!session) return
    assertOwner(session.clientId, client)
    if (session.revokedAt !== null) return
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
