/**
 * Lists a user's sessions and consents, and lets the user end them. Another user's record is reported as not found. Must not know
 * how the account page shows them.
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

interface AccountAccess {
  // Each list is newest first and contains only what has not ended.
  readonly userSessions: readonly UserSession[]
  readonly clientSessions: readonly ClientSession[]
  readonly consents: readonly Consent[]
}

/** Each function returns false if the user has no such record, or it has ended. */
export interface AccountSessions {
  list(userId: string): Promise<AccountAccess>
  endUserSession(userId: string, id: string): Promise<boolean>
  revokeClientSession(userId: string, id: string, requestInfo: RequestInfo): Promise<boolean>
  /** Deletes the consent and revokes the user's sessions at the client. */
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

/** At most this many sessions are read, including ended sessions that are not pruned yet. */
const MAX_SESSIONS = 1000

export function createAccountSessions(deps: AccountSessionsDeps): AccountSessions {
  const { userSessionStore, userSessions, clientSessions, consents, clock, audit } = deps

  const auditFields = (userId: string, { ip, requestId }: RequestInfo) => ({
    actor: `user:${userId}`,
    sub: userId,
    ip,
    request_id: requestId,
  })

  async function revokeClientSessions(
    filter: ClientSessionFilter & { userId: string },
    reason: string,
    requestInfo: RequestInfo,
  ) {
    const revoked = await clientSessions.revokeMatching(filter, clock.now(), reason)
    for (const sid of revoked)
      audit('client_session.revoked', { ...auditFields(filter.userId, requestInfo), sid, reason })
    return revoked.length > 0
  }

  return {
    async list(userId) {
      const now = clock.now()
      const all = await clientSessions.list({ userId }, MAX_SESSIONS)
      const granted = await consents.list(userId)
      return {
        userSessions: await userSessionStore.list(userId, now),
        clientSessions: all.filter(
          ({ revokedAt, expiresAt, idleExpiresAt }) =>
            revokedAt === null && expiresAt > now && idleExpiresAt > now,
        ),
        consents: granted.toSorted((a, b) => b.grantedAt - a.grantedAt),
      }
    },

    async endUserSession(userId, id) {
      const userSession = await userSessionStore.find(id)
      if (userSession?.userId !== userId) return false
      return userSessions.end(userSession, 'signed out by the user', `user:${userId}`)
    },

    revokeClientSession: (userId, id, requestInfo) =>
      revokeClientSessions({ userId, id }, 'ended by the user', requestInfo),

    async withdrawConsent(userId, clientId, requestInfo) {
      // The consent is deleted first, because as long as it is stored, new sessions can start without asking the user. The sessions are revoked even if no
      // consent is stored: an earlier withdrawal may have failed half way, or the user may have given consent without storing it.
      const deleted = await consents.delete(userId, clientId)
      if (deleted) audit('consent.withdrawn', { ...auditFields(userId, requestInfo), client_id: clientId })
      const revoked = await revokeClientSessions({ userId, clientId }, 'consent withdrawn', requestInfo)
      return deleted || revoked
    },
  }
}
