/**
 * Where somebody is signed in, which applications they use and what they have allowed; to see it, and to take it back.
 * Only ever their own: what is somebody else's is as unknown as what there is not. Must not know how it is shown.
 */
import type { Audit } from '../audit/events.ts'
import type { Session, SessionFilter, SessionStore } from '../store/contracts/client-sessions.ts'
import type { Consent, ConsentStore } from '../store/contracts/consents.ts'
import type { SignIn, SignInStore } from '../store/contracts/user-sessions.ts'
import type { Clock } from '../system.ts'
import type { SignIns, Visitor } from './user-sessions.ts'

interface Access {
  /** All three newest first, and only what has not ended. */
  readonly signIns: readonly SignIn[]
  readonly sessions: readonly Session[]
  readonly consents: readonly Consent[]
}

/** Each false if there is no such thing, any more, of theirs. */
export interface OwnAccess {
  list(userId: string): Promise<Access>
  endSignIn(userId: string, id: string): Promise<boolean>
  endSession(userId: string, id: string, visitor: Visitor): Promise<boolean>
  /** The application's sessions end with it. */
  withdrawConsent(userId: string, clientId: string, visitor: Visitor): Promise<boolean>
}

export interface OwnAccessDeps {
  readonly signInStore: SignInStore
  readonly signIns: Pick<SignIns, 'end'>
  readonly sessions: SessionStore
  readonly consents: ConsentStore
  readonly clock: Clock
  readonly audit: Audit
}

/** Those that have ended are among them for a while. */
const MOST_SESSIONS = 1000

export function createOwnAccess(deps: OwnAccessDeps): OwnAccess {
  const { signInStore, signIns, sessions, consents, clock, audit } = deps

  const by = (userId: string, { ip, requestId }: Visitor) => ({
    actor: `user:${userId}`,
    sub: userId,
    ip,
    request_id: requestId,
  })

  async function endSessions(filter: SessionFilter & { userId: string }, reason: string, visitor: Visitor) {
    const ended = await sessions.revokeMatching(filter, clock.now(), reason)
    for (const sid of ended) audit('session.revoked', { ...by(filter.userId, visitor), sid, reason })
    return ended.length > 0
  }

  return {
    async list(userId) {
      const now = clock.now()
      const all = await sessions.list({ userId }, MOST_SESSIONS)
      const allowed = await consents.list(userId)
      return {
        signIns: await signInStore.list(userId, now),
        sessions: all.filter(
          ({ revokedAt, expiresAt, idleExpiresAt }) =>
            revokedAt === null && expiresAt > now && idleExpiresAt > now,
        ),
        consents: allowed.toSorted((a, b) => b.grantedAt - a.grantedAt),
      }
    },

    async endSignIn(userId, id) {
      const signIn = await signInStore.find(id)
      if (signIn?.userId !== userId) return false
      return signIns.end(signIn, 'signed out by the person', `user:${userId}`)
    },

    endSession: (userId, id, visitor) => endSessions({ userId, id }, 'ended by the person', visitor),

    async withdrawConsent(userId, clientId, visitor) {
      // First what would let new sessions begin unasked.
      if (!(await consents.delete(userId, clientId))) return false
      audit('consent.withdrawn', { ...by(userId, visitor), client_id: clientId })
      await endSessions({ userId, clientId }, 'consent withdrawn', visitor)
      return true
    },
  }
}
