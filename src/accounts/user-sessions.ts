/**
 * Who is signed in with which browser. The cookie holds a secret that is new after every login (so nobody can have
 * prepared it), the store its SHA-256. Must not know cookies, pages, or what people sign in for.
 */
import { createHash } from 'node:crypto'
import type { Audit } from '../audit/events.ts'
import type { SessionStore } from '../store/contracts/client-sessions.ts'
import type { SignIn, SignInStore } from '../store/contracts/user-sessions.ts'
import type { User, UserStore } from '../store/contracts/users.ts'
import type { Clock, Random, Seconds } from '../system.ts'
import { USER_SESSION_TOUCH_INTERVAL } from './lifetimes.ts'
import { signOutEverywhere } from './sign-out.ts'

export interface CurrentSignIn {
  readonly signIn: SignIn
  readonly user: User
  readonly secretHash: string
}

/** Where a request comes from. */
export interface Visitor {
  readonly ip: string
  readonly userAgent: string
  readonly requestId: string
}

export interface SignIns {
  /** null if nobody is signed in with this secret, or the account is disabled. */
  current(secret: string | undefined): Promise<CurrentSignIn | null>
  /**
   * The person has just proven who they are. Somebody else's sign-in in this browser ends by it.
   * Returns the new secret; null if the account has changed since.
   */
  begin(
    user: User,
    amr: readonly string[],
    before: CurrentSignIn | null,
    visitor: Visitor,
  ): Promise<{ secret: string; signIn: SignIn } | null>
  /** Returns false if it had ended. */
  end(signIn: Pick<SignIn, 'id' | 'userId'>, reason: string, actor: string): Promise<boolean>
  /** Everywhere: all browsers, and all sessions at applications. */
  endAll(userId: string, reason: string, actor: string): Promise<void>
  /**
   * The same, but this browser goes on, by another sign-in: codes that the old one has asked for die with it. Returns the
   * new secret; null if the old one had ended, or the account has changed since.
   */
  endAllButHere(current: CurrentSignIn, user: User, reason: string, visitor: Visitor): Promise<string | null>
}

export interface SignInDeps {
  readonly signIns: SignInStore
  readonly sessions: SessionStore
  readonly users: UserStore
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly config: { readonly refreshTokenTtl: Seconds; readonly refreshIdleTtl: Seconds }
}

const SECRET_BYTES = 32
const LONGEST_USER_AGENT = 200

export function createSignIns(deps: SignInDeps): SignIns {
  const { signIns, sessions, users, clock, random, audit, config } = deps
  const makeSecret = () => random.bytes(SECRET_BYTES).toString('base64url')
  const hashOf = (secret: string) => createHash('sha256').update(secret).digest('base64url')

  async function end(
    { id, userId }: Pick<SignIn, 'id' | 'userId'>,
    reason: string,
    actor: string,
  ): Promise<boolean> {
    const sessions = await signIns.end(id, clock.now(), reason)
    if (!sessions) return false
    audit('signin.ended', { actor, sub: userId, target: id, reason })
    for (const sid of sessions) audit('session.revoked', { actor, sub: userId, sid, reason })
    return true
  }

  async function everywhere(userId: string, reason: string, actor: string): Promise<void> {
    await signOutEverywhere({ store: { signIns, sessions }, clock, audit }, userId, reason, actor)
  }

  /** Whoever set a new password, or disabled the account, meanwhile has ended the sign-ins that there were. */
  async function confirm(signIn: SignIn, user: User, { ip, requestId }: Visitor): Promise<boolean> {
    const current = await users.find(user.id)
    const actor = `user:${user.id}`
    if (!current || current.disabled || current.passwordHash !== user.passwordHash) {
      await end(signIn, 'the account changed during sign-in', 'keyturn')
      return false
    }
    audit('signin.begun', { actor, sub: user.id, target: signIn.id, ip, request_id: requestId })
    return true
  }

  return {
    async current(secret) {
      if (secret === undefined || secret === '') return null
      const secretHash = hashOf(secret)
      const signIn = await signIns.findBySecret(secretHash)
      const now = clock.now()
      if (!signIn || signIn.endedAt !== null || now >= signIn.expiresAt || now >= signIn.idleExpiresAt)
        return null
      const user = await users.find(signIn.userId)
      if (!user || user.disabled) return null
      const idleExpiresAt = Math.min(signIn.expiresAt, now + config.refreshIdleTtl)
      if (idleExpiresAt - signIn.idleExpiresAt > USER_SESSION_TOUCH_INTERVAL)
        await signIns.touch(signIn.id, idleExpiresAt)
      return { signIn, user, secretHash }
    },

    async begin(user, amr, before, visitor) {
      const { ip, userAgent } = visitor
      const now = clock.now()
      const secret = makeSecret()
      const fresh = hashOf(secret)
      const expiresAt = now + config.refreshTokenTtl
      const same = before?.user.id === user.id ? before : null
      const idleExpiresAt = Math.min(same?.signIn.expiresAt ?? expiresAt, now + config.refreshIdleTtl)
      const proof = { authTime: now, amr, idleExpiresAt }
      let signIn: SignIn
      if (same && (await signIns.renew(same.signIn.id, { seen: same.secretHash, fresh }, proof))) {
        signIn = { ...same.signIn, ...proof }
      } else {
        if (before && !same) await end(before.signIn, 'another person signed in', `user:${user.id}`)
        signIn = {
          id: random.id(),
          userId: user.id,
          createdAt: now,
          ...proof,
          expiresAt,
          idleExpiresAt: Math.min(expiresAt, now + config.refreshIdleTtl),
          endedAt: null,
          ip,
          userAgent: userAgent.replace(/[^\x20-\x7E]/g, '?').slice(0, LONGEST_USER_AGENT),
        }
        if (!(await signIns.insert(signIn, fresh))) return null
      }
      return (await confirm(signIn, user, visitor)) ? { secret, signIn } : null
    },

    end,

    endAll: everywhere,

    async endAllButHere({ signIn }, user, reason, visitor) {
      const actor = `user:${user.id}`
      const here = await end(signIn, reason, actor)
      await everywhere(user.id, reason, actor)
      if (!here) return null
      const secret = makeSecret()
      const next = { ...signIn, id: random.id() }
      return (await signIns.insert(next, hashOf(secret))) && (await confirm(next, user, visitor))
        ? secret
        : null
    },
  }
}
