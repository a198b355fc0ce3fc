/**
 * Whether a token is active (RFC 7662 §2.2): its client, client session and user exist, and none of them is disabled or
 * revoked. Must not know the endpoints that call it.
 */
import type { FailureDetail } from '../audit/failure-details.ts'
import type { Status } from '../status/index.ts'
import type { ClientSession, ClientSessionStore } from '../store/contracts/client-sessions.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { RevokedTokenStore } from '../store/contracts/revoked-tokens.ts'
import type { User } from '../store/contracts/users.ts'
import type { AccessTokenClaims } from '../tokens/access-token.ts'
import { OAuthError } from './errors.ts'
import type { Registry } from './registry.ts'
import type { EarlierGrant, Parties, Rights, SessionRights } from './session-rights.ts'

export interface ActiveTokensDeps {
  readonly registry: Registry
  readonly rights: SessionRights
  readonly clientSessions: ClientSessionStore
  readonly revokedTokens: RevokedTokenStore
  readonly status: {
    readonly lists: Pick<Status['lists'], 'numberOf'>
    readonly isRevoked: Status['isRevoked']
  }
}

interface ActiveSession {
  readonly session: ClientSession
  readonly user: User
  readonly client: Client
  /** What the session may have now, which may be less than its tokens contain. */
  readonly rights: Rights
}

interface Inactive {
  readonly active: false
  readonly detail: FailureDetail
}

export interface ActiveTokens {
  session(id: string): Promise<({ readonly active: true } & ActiveSession) | Inactive>
  /** @param claims claims of an access token whose signature and expiry were verified */
  accessToken(claims: AccessTokenClaims): Promise<
    | {
        readonly active: true
        readonly client: Client
        /** null for a token of the client_credentials grant. */
        readonly endUser: ActiveSession | null
        /** The part of the token's scopes and roles that is still granted. */
        readonly rights: Rights
      }
    | Inactive
  >
}

export function createActiveTokens(deps: ActiveTokensDeps): ActiveTokens {
  const { registry, clientSessions, revokedTokens, status } = deps

  /** @param requested the scopes of the token, which may be fewer than those of the session */
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
    const found = await clientSessions.findWithUser(id)
    if (!found || found.session.revokedAt !== null) return inactive('session_ended')
    const { session, user } = found
    const client = await registry.client(session.clientId)
    if (!client || client.disabled) return inactive(client ? 'client_disabled' : 'unknown_client')
    if (user.disabled) return inactive('user_disabled')
    const rights = remaining({ ...session, grantedAt: session.createdAt }, { client, user }, requested)
    return 'active' in rights ? rights : { active: true as const, session, user, client, rights }
  }

  return {
    session: (id) => findSession(id),

    async accessToken(claims) {
      const reference = claims.status.status_list
      const scopes = claims.scope?.split(' ') ?? []
      // Read together, because none depends on another.
      const [revoked, revokedByStatus, endUser] = await Promise.all([
        revokedTokens.has(claims.jti),
        // This also finds tokens whose whole block was revoked when their client was disabled or deleted, even if the client has
        // since been enabled or created again.
        status.isRevoked(reference),
        claims.sid === undefined ? null : findSession(claims.sid, scopes),
      ])
      if (revoked || revokedByStatus) return inactive('token_revoked')
      if (endUser === null) {
        const client = await registry.client(claims.client_id)
        if (!client || client.disabled) return inactive(client ? 'client_disabled' : 'unknown_client')
        const earlier = { scopes, audience: claims.aud, amr: [], grantedAt: claims.iat }
        const rights = remaining(earlier, { client, user: null })
        return 'active' in rights ? rights : { active: true, client, endUser: null, rights }
      }
      if (!endUser.active) return endUser
      const { clientId, userId } = endUser.session
      if (clientId !== claims.client_id || userId !== claims.sub) return inactive('unknown_token')
      // When an access token of the session is revoked, the session gets a new index. Older tokens carry the old one.
      const { list, idx } = endUser.session.status
      if (idx !== reference.idx || list !== status.lists.numberOf(reference.uri))
        return inactive('token_revoked')
      return { active: true, client: endUser.client, endUser, rights: endUser.rights }
    },
  }
}

const inactive = (detail: FailureDetail): Inactive => ({ active: false, detail })
