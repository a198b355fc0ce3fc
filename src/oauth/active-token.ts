/**
 * Whether a token is active (RFC 7662 §2.2): its client, session and user still exist, and none of them was disabled or
 * revoked. Must not know which endpoint asks.
 */
import type { FailureDetail } from '../audit/failure-details.ts'
import type { ClientSession, ClientSessionStore } from '../store/contracts/client-sessions.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { RevokedTokenStore } from '../store/contracts/revoked-tokens.ts'
import type { User, UserStore } from '../store/contracts/users.ts'
import type { AccessTokenClaims } from '../tokens/access-token.ts'
import { OAuthError } from './errors.ts'
import type { Registry } from './registry.ts'
import type { EarlierGrant, Parties, Rights, SessionRights } from './session-rights.ts'

export interface ActiveTokensDeps {
  readonly registry: Registry
  readonly rights: SessionRights
  readonly clientSessions: ClientSessionStore
  readonly users: UserStore
  readonly revokedTokens: RevokedTokenStore
}

interface ActiveSession {
  readonly session: ClientSession
  readonly user: User
  readonly client: Client
  /** What the session may have now, which can be less than its tokens contain. */
  readonly rights: Rights
}

interface Inactive {
  readonly active: false
  readonly detail: FailureDetail
}

export interface ActiveTokens {
  session(id: string): Promise<({ readonly active: true } & ActiveSession) | Inactive>
  /** @param claims of an access token whose signature and times were verified */
  accessToken(claims: AccessTokenClaims): Promise<
    | {
        readonly active: true
        readonly client: Client
        /** null for a token that was issued to a client for itself. */
        readonly endUser: ActiveSession | null
        /** What is left of the token's own scopes and roles. */
        readonly rights: Rights
      }
    | Inactive
  >
}

export function createActiveTokens(deps: ActiveTokensDeps): ActiveTokens {
  const { registry, clientSessions, users, revokedTokens } = deps

  /** @param requested narrows the grant, as a token that was issued for fewer scopes does */
  function remaining(
    earlier: EarlierGrant,
    parties: Parties,
    requested?: readonly string[],
  ): Rights | Inactive {
    try {
      return deps.rights.remaining(earlier, parties, requested)
    } catch (error) {
      if (error instanceof OAuthError) return inactive(error.detail ?? 'rights_withdrawn')
      throw error
    }
  }

  async function findSession(id: string, requested?: readonly string[]) {
    const session = await clientSessions.find(id)
    if (!session || session.revokedAt !== null) return inactive('session_ended')
    const client = await registry.client(session.clientId)
    if (!client || client.disabled) return inactive(client ? 'client_disabled' : 'unknown_client')
    const user = await users.find(session.userId)
    if (!user || user.disabled) return inactive('user_disabled')
    const rights = remaining(session, { client, user }, requested)
    return 'active' in rights ? rights : { active: true as const, session, user, client, rights }
  }

  return {
    session: (id) => findSession(id),

    async accessToken(claims) {
      if (await revokedTokens.has(claims.jti)) return inactive('token_revoked')
      const scopes = claims.scope?.split(' ') ?? []
      if (claims.sid === undefined) {
        const client = await registry.client(claims.client_id)
        if (!client || client.disabled) return inactive(client ? 'client_disabled' : 'unknown_client')
        const rights = remaining({ scopes, audience: claims.aud, amr: [] }, { client, user: null })
        return 'active' in rights ? rights : { active: true, client, endUser: null, rights }
      }
      const endUser = await findSession(claims.sid, scopes)
      if (!endUser.active) return endUser
      const { clientId, userId } = endUser.session
      if (clientId !== claims.client_id || userId !== claims.sub) return inactive('unknown_token')
      // A token that was issued before another token of the session was revoked carries the old index.
      const sameIndex = endUser.session.status.idx === claims.status.status_list.idx
      if (!sameIndex) return inactive('token_revoked')
      return { active: true, client: endUser.client, endUser, rights: endUser.rights }
    },
  }
}

const inactive = (detail: FailureDetail): Inactive => ({ active: false, detail })
