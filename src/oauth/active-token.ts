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
import type { Registry } from './registry.ts'

export interface ActiveTokensDeps {
  readonly registry: Registry
  readonly clientSessions: ClientSessionStore
  readonly users: UserStore
  readonly revokedTokens: RevokedTokenStore
}

interface ActiveSession {
  readonly session: ClientSession
  readonly user: User
}

interface Inactive {
  readonly active: false
  readonly detail: FailureDetail
}

export interface ActiveTokens {
  session(id: string, userId: string): Promise<({ readonly active: true } & ActiveSession) | Inactive>
  /** @param claims of an access token whose signature and times were verified */
  accessToken(claims: AccessTokenClaims): Promise<
    /** `endUser` is null for a token that was issued to a client for itself. */
    { readonly active: true; readonly client: Client; readonly endUser: ActiveSession | null } | Inactive
  >
}

export function createActiveTokens({
  registry,
  clientSessions,
  users,
  revokedTokens,
}: ActiveTokensDeps): ActiveTokens {
  const session: ActiveTokens['session'] = async (id, userId) => {
    const session = await clientSessions.find(id)
    if (!session || session.revokedAt !== null) return inactive('session_ended')
    const user = await users.find(userId)
    return user && !user.disabled ? { active: true, session, user } : inactive('user_disabled')
  }

  return {
    session,

    async accessToken(claims) {
      if (await revokedTokens.has(claims.jti)) return inactive('token_revoked')
      const client = await registry.client(claims.client_id)
      if (!client || client.disabled) return inactive(client ? 'client_disabled' : 'unknown_client')
      if (claims.sid === undefined) return { active: true, client, endUser: null }
      const endUser = await session(claims.sid, claims.sub)
      if (!endUser.active) return endUser
      // A token that was issued before another token of the session was revoked carries the old index.
      const sameIndex = endUser.session.status.idx === claims.status.status_list.idx
      return sameIndex ? { active: true, client, endUser } : inactive('token_revoked')
    },
  }
}

const inactive = (detail: FailureDetail): Inactive => ({ active: false, detail })
