/**
 * User sessions: which user is signed in with which browser. The cookie contains a secret, and the store its SHA-256. Every login
 * replaces the secret, which prevents session fixation. Must not know cookies or pages, or what users sign in for.
 */
import { createHash } from 'node:crypto'
import type { Audit } from '../audit/events.ts'
import type { ClientSessionStore } from '../store/contracts/client-sessions.ts'
import type { UserSession, UserSessionStore } from '../store/contracts/user-sessions.ts'
import type { User, UserStore } from '../store/contracts/users.ts'
import type { Clock, Random, Seconds } from '../system.ts'
import { USER_SESSION_TOUCH_INTERVAL } from './lifetimes.ts'
import { signOutEverywhere } from './sign-out.ts'

export interface CurrentUserSession {
  readonly userSession: UserSession
  readonly user: User
  readonly secretHash: string
}

/** The origin of a request, for session lists and the audit trail. */
export interface RequestInfo {
  readonly ip: string
  readonly userAgent: string
  readonly requestId: string
}

export interface UserSessions {
  /** null if the secret belongs to no active session, or the account is disabled. */
  current(secret: string | undefined): Promise<CurrentUserSession | null>
  /**
   * Called after the user has authenticated. Renews the browser's session if it belongs to the user; otherwise ends it and starts
   * a new one. Returns null if the account has changed since the authentication.
   */
  start(
    user: User,
    amr: readonly string[],
    previous: CurrentUserSession | null,
    requestInfo: RequestInfo,
  ): Promise<{ secret: string; userSession: UserSession } | null>
  /** Returns false if the session had ended. */
  end(userSession: Pick<UserSession, 'id' | 'userId'>, reason: string, actor: string): Promise<boolean>
  /** Ends all user sessions and revokes all client sessions of the user. */
  endAll(userId: string, reason: string, actor: string): Promise<void>
  /**
   * Ends everything as `endAll` does, and continues in the current browser with a new user session. The old session ends too, so
   * that authorization codes that were issued in it become invalid. Returns the new secret; null if the old session had ended, or
   * the account has changed.
   */
  endAllExceptCurrent(
    current: CurrentUserSession,
    user: User,
    reason: string,
    requestInfo: RequestInfo,
  ): Promise<string | null>
}

export interface UserSessionsDeps {
  readonly userSessions: UserSessionStore
  readonly clientSessions: ClientSessionStore
  readonly users: UserStore
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly config: { readonly refreshTokenTtl: Seconds; readonly refreshIdleTtl: Seconds }
}

const SECRET_BYTES = 32
const MAX_USER_AGENT_LENGTH = 200

export function createUserSessions(deps: UserSessionsDeps): UserSessions {
  const { userSessions, clientSessions, users, clock, random, audit, config } = deps
  const createSecret = () => random.bytes(SECRET_BYTES).toString('base64url')
  const hashOf = (secret: string) => createHash('sha256').update(secret).digest('base64url')

  async function end(
    { id, userId }: Pick<UserSession, 'id' | 'userId'>,
    reason: string,
    actor: string,
  ): Promise<boolean> {
    const clientSessions = await userSessions.end(id, clock.now(), reason)
    if (!clientSessions) return false
    audit('user_session.ended', { actor, sub: userId, target: id, reason })
    for (const sid of clientSessions) audit('client_session.revoked', { actor, sub: userId, sid, reason })
    return true
  }

  async function endAll(userId: string, reason: string, actor: string): Promise<void> {
    await signOutEverywhere({ store: { userSessions, clientSessions }, clock, audit }, userId, reason, actor)
  }

  /** A password change or a disabled account ends existing sessions, but may have missed one that was being started. */
  async function confirmAccountUnchanged(
    userSession: UserSession,
    user: User,
    { ip, requestId }: RequestInfo,
  ): Promise<boolean> {
    const current = await users.find(user.id)
    const actor = `user:${user.id}`
    if (!current || current.disabled || current.passwordHash !== user.passwordHash) {
      await end(userSession, 'the account changed during sign-in', 'keyturn')
      return false
    }
    audit('user_session.started', { actor, sub: user.id, target: userSession.id, ip, request_id: requestId })
    return true
  }

  return {
    async current(secret) {
      if (secret === undefined || secret === '') return null
      const secretHash = hashOf(secret)
      const userSession = await userSessions.findBySecret(secretHash)
      const now = clock.now()
      if (
        !userSession ||
        userSession.endedAt !== null ||
        now >= userSession.expiresAt ||
        now >= userSession.idleExpiresAt
      )
        return null
      const user = await users.find(userSession.userId)
      if (!user || user.disabled) return null
      const idleExpiresAt = Math.min(userSession.expiresAt, now + config.refreshIdleTtl)
      if (idleExpiresAt - userSession.idleExpiresAt > USER_SESSION_TOUCH_INTERVAL)
        await userSessions.touch(userSession.id, idleExpiresAt)
      return { userSession, user, secretHash }
    },

    async start(user, amr, previous, requestInfo) {
      const { ip, userAgent } = requestInfo
      const now = clock.now()
      const secret = createSecret()
      const newHash = hashOf(secret)
      const expiresAt = now + config.refreshTokenTtl
      const ownSession = previous?.user.id === user.id ? previous : null
      const idleExpiresAt = Math.min(
        ownSession?.userSession.expiresAt ?? expiresAt,
        now + config.refreshIdleTtl,
      )
      const proof = { authTime: now, amr, idleExpiresAt }
      let userSession: UserSession
      if (
        ownSession &&
        (await userSessions.renew(
          ownSession.userSession.id,
          { expected: ownSession.secretHash, replacement: newHash },
          proof,
        ))
      ) {
        userSession = { ...ownSession.userSession, ...proof }
      } else {
        if (previous && !ownSession)
          await end(previous.userSession, 'another user signed in', `user:${user.id}`)
        userSession = {
          id: random.id(),
          userId: user.id,
          createdAt: now,
          ...proof,
          expiresAt,
          idleExpiresAt: Math.min(expiresAt, now + config.refreshIdleTtl),
          endedAt: null,
          ip,
          userAgent: userAgent.replace(/[^\x20-\x7E]/g, '?').slice(0, MAX_USER_AGENT_LENGTH),
        }
        if (!(await userSessions.insert(userSession, newHash))) return null
      }
      return (await confirmAccountUnchanged(userSession, user, requestInfo)) ? { secret, userSession } : null
    },

    end,

    endAll,

    async endAllExceptCurrent({ userSession }, user, reason, requestInfo) {
      const actor = `user:${user.id}`
      const wasActive = await end(userSession, reason, actor)
      await endAll(user.id, reason, actor)
      if (!wasActive) return null
      const secret = createSecret()
      const next = { ...userSession, id: random.id() }
      return (await userSessions.insert(next, hashOf(secret))) &&
        (await confirmAccountUnchanged(next, user, requestInfo))
        ? secret
        : null
    },
  }
}
