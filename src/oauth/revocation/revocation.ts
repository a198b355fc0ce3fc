/** RFC 7009. Must not know HTTP. */
import type { Audit } from '../../audit/events.ts'
import type { StatusIndices } from '../../status/status-index-allocator.ts'
import type { SessionStore } from '../../store/contracts/client-sessions.ts'
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
  readonly sessions: SessionStore
  readonly revokedTokens: RevokedTokenStore
  readonly status: Pick<StatusStore, 'revoke'>
  readonly statusIndices: Pick<StatusIndices, 'forSession'>
  /** Number of a status list, by its URI. */
  readonly listOf: (uri: string) => number | null
  readonly audit: Audit
}

/** Resolves when the token is dead, or was no token of ours (§2.2). @throws {OAuthError} */
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
      else await revokeSession(presented.parts.sessionId, client, request)
    })

  async function revokeAccessToken(claims: AccessTokenClaims, client: Client, request: ProtocolRequest) {
    assertOwner(claims.client_id, client)
    const entry = claims.status?.status_list
    const list = entry ? deps.listOf(entry.uri) : null
    if (entry && list !== null) await takeBack({ list, idx: entry.idx }, claims)
    await deps.revokedTokens.add(claims.jti, claims.exp)
    record(client, request, { jti: claims.jti, ...(claims.sid === undefined ? {} : { sid: claims.sid }) })
  }

  /**
   * A sign-in's tokens share one index in the status list, so they go together (§2.1 allows it). The session goes
   * on with a new one: whoever takes back a token must not be signed out by it.
   */
  async function takeBack(index: StatusIndex, { sid, exp }: AccessTokenClaims) {
    const session = sid === undefined ? null : await deps.sessions.find(sid)
    if (!session || session.revokedAt !== null) return deps.status.revoke(index, exp)
    const fresh = await deps.statusIndices.forSession(session.expiresAt)
    await deps.sessions.replaceStatus(session.id, index, fresh)
  }

  /** The refresh token is the session: with it go all tokens that came from it (§2.1). */
  async function revokeSession(sessionId: string, client: Client, request: ProtocolRequest) {
    const session = await deps.sessions.find(sessionId)
    if (!session) return
    assertOwner(session.clientId, client)
    if (await deps.sessions.revoke(sessionId, deps.clock.now(), 'revoked by the client')) {
      record(client, request, { sid: sessionId, sub: session.userId })
    }
  }

  function record(
    client: Client,
    request: ProtocolRequest,
    what: { jti?: string; sid?: string; sub?: string },
  ) {
    deps.audit('token.revoked', {
      actor: `client:${client.id}`,
      client_id: client.id,
      ...what,
      ip: request.ip,
      request_id: request.requestId,
    })
  }
}

/** §2.1: a token of another client is refused, and lives on. */
function assertOwner(owner: string, client: Client): void {
  if (owner !== client.id) {
    throw unauthorizedClient('the token was not issued to this client', { detail: 'other_client' })
  }
}
