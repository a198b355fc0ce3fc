/**
 * Whether what a token stands for is still there: its client, its session, its person. Asked by whoever looks at the
 * store for a token's sake; must not know who may ask.
 */

import type { Session, SessionStore } from '../store/contracts/client-sessions.ts'
import type { Client } from '../store/contracts/clients.ts'
import type { RevokedTokenStore } from '../store/contracts/revoked-tokens.ts'
import type { User, UserStore } from '../store/contracts/users.ts'
import type { AccessTokenClaims } from '../tokens/access-token.ts'
import type { Registry } from './registry.ts'

export interface LivingDeps {
  readonly registry: Registry
  readonly sessions: SessionStore
  readonly users: UserStore
  readonly revokedTokens: RevokedTokenStore
}

export interface LivingSession {
  readonly session: Session
  readonly user: User
}

export interface LivingToken {
  readonly client: Client
  /** null for a client's own token. */
  readonly person: LivingSession | null
}

export interface Living {
  /** null if the session or the person is no more. */
  session(id: string, userId: string): Promise<LivingSession | null>
  /** Of an access token whose signature and times are right; null if it was taken back in any way. */
  accessToken(claims: AccessTokenClaims): Promise<LivingToken | null>
}

export function createLiving({ registry, sessions, users, revokedTokens }: LivingDeps): Living {
  async function living(id: string, userId: string): Promise<LivingSession | null> {
    const session = await sessions.find(id)
    if (!session || session.revokedAt !== null) return null
    const user = await users.find(userId)
    return user && !user.disabled ? { session, user } : null
  }

  return {
    session: living,

    async accessToken(claims) {
      if (await revokedTokens.has(claims.jti)) return null
      const client = await registry.client(claims.client_id)
      if (!client || client.disabled) return null
      if (claims.sid === undefined) return { client, person: null }
      const person = await living(claims.sid, claims.sub)
      // A token that was issued before another token of the session was revoked carries the old index.
      const sameIndex = person?.session.status.idx === claims.status.status_list.idx
      return person && sameIndex ? { client, person } : null
    },
  }
}
