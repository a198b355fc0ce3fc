/**
 * Where somebody is signed in, which applications they use and what they have allowed; to see it, and to take it back.
 * Only ever their own: what is somebody else's is as unknown as what there is not. Must not know how it is shown.
 */
import type { Audit } from '../audit/events.ts'
import type {
  ClientSession,
  ClientSessionFilter,
  ClientSessionStore,
} from '../store/contracts/client-sessions.ts'
import type { Consent, ConsentStore } from '../store/contracts/consents.ts'
import type { UserSession, UserSessionStore } from '../store/contracts/user-sessions.ts'
import type { Clock } from '../system.ts'
import type { RequestInfo, UserSessions } from './user-sessions.ts'

interface Access {
  /** All three newest first, and only what has not ended. */
  readonly userSessions: readonly UserSession[]
  readonly clientSessions: readonly ClientSession[]
  readonly consents: readonly Consent[]
}

/** Each false if there is no such thing, any more, of theirs. */
export interface AccountSessions {
  list(userId: string): Promise<Access>
  endUserSession(userId: string, id: string): Promise<boolean>
  endSession(userId: string, id: string, requestInfo: RequestInfo): Promise<boolean>
  /** The application's sessions end with it. */
  withdrawConsent(userId: string, clientId: string, requestInfo: RequestInfo): Promise<boolean>
}

export interface AccountSessionsDeps {
  readonly userSessionStore: UserSessionStore
  readonly userSessions: Pick<UserSessions, 'end'>
  readonly clientSessions: ClientSessionStore
  readonly consents: ConsentStore
  readonly clock: Clock
  readonly audit: Audit
}

/** Those that have ended are among them for a while. */
const MAX_SESSIONS = 1000

export function createAccountSessions(deps: AccountSessionsDeps): AccountSessions {
  const { userSessionStore, userSessions, clientSessions, consents, clock, audit } = deps

  const by = (userId: string, { ip, requestId }: RequestInfo) => ({
    actor: `user:${userId}`,
    sub: userId,
    ip,
    request_id: requestId,
  })

  async function endSessions(
    filter: ClientSessionFilter & { userId: string },
    reason: string,
    requestInfo: RequestInfo,
  ) {
    const ended = await clientSessions.revokeMatching(filter, clock.now(), reason)
    for (const sid of ended)
      audit('client_session.revoked', { ...by(filter.userId, requestInfo), sid, reason })
    return ended.length > 0
  }

  return {
    async list(userId) {
      const now = clock.now()
      const all = await clientSessions.list({ userId }, MAX_SESSIONS)
      const allowed = await consents.list(userId)
      return {
        userSessions: await userSessionStore.list(userId, now),
        clientSessions: all.filter(
          ({ revokedAt, expiresAt, idleExpiresAt }) =>
            revokedAt === null && expiresAt > now && idleExpiresAt > now,
        ),
        consents: allowed.toSorted((a, b) => b.grantedAt - a.grantedAt),
      }
    },

    async endUserSession(userId, id) {
      const userSession = await userSessionStore.find(id)
      if (userSession?.userId !== userId) return false
      return userSessions.end(userSession, 'signed out by the person', `user:${userId}`)
    },

    endSession: (userId, id, requestInfo) => endSessions({ userId, id }, 'ended by the person', requestInfo),

    async withdrawConsent(userId, clientId, requestInfo) {
      // First what would let new sessions begin unasked.
      if (!(await consents.delete(userId, clientId))) return false
      audit('consent.withdrawn', { ...by(userId, requestInfo), client_id: clientId })
      await endSessions({ userId, clientId }, 'consent withdrawn', requestInfo)
      return true
    },
  }
}
