/**
 * Who is signed in with which browser. The cookie holds a secret that is new after every login (so nobody can have
 * prepared it), the store its SHA-256. Must not know cookies, pages, or what people sign in for.
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

/** Where a request comes from. */
export interface RequestInfo {
  readonly ip: string
  readonly userAgent: string
  readonly requestId: string
}

export interface UserSessions {
  /** null if nobody is signed in with this secret, or the account is disabled. */
  current(secret: string | undefined): Promise<CurrentUserSession | null>
  /**
   * The person has just proven who they are. Somebody else's sign-in in this browser ends by it.
   * Returns the new secret; null if the account has changed since.
   */
  begin(
    user: User,
    amr: readonly string[],
    before: CurrentUserSession | null,
    requestInfo: RequestInfo,
  ): Promise<{ secret: string; userSession: UserSession } | null>
  /** Returns false if it had ended. */
  end(userSession: Pick<UserSession, 'id' | 'userId'>, reason: string, actor: string): Promise<boolean>
  /** Everywhere: all browsers, and all sessions at applications. */
  endAll(userId: string, reason: string, actor: string): Promise<void>
  /**
   * The same, but this browser goes on, by another sign-in: codes that the old one has asked for die with it. Returns the
   * new secret; null if the old one had ended, or the account has changed since.
   */
  endAllButHere(
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
  const makeSecret = () => random.bytes(SECRET_BYTES).toString('base64url')
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

  async function everywhere(userId: string, reason: string, actor: string): Promise<void> {
    await signOutEverywhere({ store: { userSessions, clientSessions }, clock, audit }, userId, reason, actor)
  }

  /** Whoever set a new password, or disabled the account, meanwhile has ended the sign-ins that there were. */
  async function confirm(
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

    async begin(user, amr, before, requestInfo) {
      const { ip, userAgent } = requestInfo
      const now = clock.now()
      const secret = makeSecret()
      const fresh = hashOf(secret)
      const expiresAt = now + config.refreshTokenTtl
      const same = before?.user.id === user.id ? before : null
      const idleExpiresAt = Math.min(same?.userSession.expiresAt ?? expiresAt, now + config.refreshIdleTtl)
      const proof = { authTime: now, amr, idleExpiresAt }
      let userSession: UserSession
      if (same && (await userSessions.renew(same.userSession.id, { seen: same.secretHash, fresh }, proof))) {
        userSession = { ...same.userSession, ...proof }
      } else {
        if (before && !same) await end(before.userSession, 'another person signed in', `user:${user.id}`)
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
        if (!(await userSessions.insert(userSession, fresh))) return null
      }
      return (await confirm(userSession, user, requestInfo)) ? { secret, userSession } : null
    },

    end,

    endAll: everywhere,

    async endAllButHere({ userSession }, user, reason, requestInfo) {
      const actor = `user:${user.id}`
      const here = await end(userSession, reason, actor)
      await everywhere(user.id, reason, actor)
      if (!here) return null
      const secret = makeSecret()
      const next = { ...userSession, id: random.id() }
      return (await userSessions.insert(next, hashOf(secret))) && (await confirm(next, user, requestInfo))
        ? secret
        : null
    },
  }
}
