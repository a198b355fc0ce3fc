/** Sign-in with username and password. Must not know who asks (a grant, a page) or what it is for. */
import type { Audit, AuditFields } from '../audit/events.ts'
import type { User, UserStore } from '../store/contracts/users.ts'
import type { ConcurrencyLimiter } from './concurrency-limiter.ts'
import { hashPassword, verifyPassword } from './password.ts'
import { RateLimited, type RateLimiter } from './rate-limiter.ts'
import { normalizeUsername } from './username.ts'

interface Credentials {
  readonly username: string
  readonly password: string
  readonly ip: string
  readonly requestId: string
  /** undefined: the user signs in to their own account, without a client. */
  readonly clientId?: string | undefined
}

export type LoginOutcome =
  /** The password is right and the account enabled; `user` has the hash of that very password. */
  | { readonly ok: true; readonly user: User }
  /** For the audit trail: whoever tries to sign in gets one answer, after one time, for all of them. */
  | { readonly ok: false; readonly detail: 'unknown_user' | 'wrong_password' | 'user_disabled' }

/** @throws {RateLimited} after too many guesses; {Overloaded} with too many logins at once */
export type Login = (credentials: Credentials) => Promise<LoginOutcome>

export interface LoginDeps {
  readonly users: UserStore
  readonly hashingLimiter: ConcurrencyLimiter
  readonly rateLimiter: RateLimiter
  readonly audit: Audit
}

export function createLogin({ users, hashingLimiter, rateLimiter, audit }: LoginDeps): Login {
  return async (credentials) => {
    const { ip, requestId, clientId } = credentials
    const from = { ...(clientId === undefined ? {} : { client_id: clientId }), ip, request_id: requestId }
    // Counted only when its turn comes: right passwords that queue up are not guesses. What follows is written outside,
    // so that no login waits in the queue for a disk.
    const { counted, known, outcome } = await hashingLimiter.run(() => attempt(credentials, from))
    if (!outcome.ok) {
      audit('login.failed', { ...from, ...(known ? { sub: known.id } : {}), detail: outcome.detail })
      return outcome
    }
    await counted.succeeded()
    audit('login.succeeded', { ...from, actor: `user:${outcome.user.id}`, sub: outcome.user.id })
    return outcome
  }

  async function attempt({ username, password, ip }: Credentials, from: AuditFields) {
    const name = normalizeUsername(username)
    const counted = await rateLimiter.attempt(`user:${name ?? ''}`, ip)
    if (counted.wait > 0) {
      audit('login.rate_limited', from)
      throw new RateLimited(counted.wait)
    }
    const known = name === null ? null : await users.findByUsername(name)
    const { ok, outdated } = await verifyPassword(known?.passwordHash, password)
    const outcome = outcomeOf(known, ok)
    return {
      counted,
      known,
      outcome: outcome.ok && outdated ? await rehash(outcome.user, password) : outcome,
    }
  }

  async function rehash(user: User, password: string): Promise<LoginOutcome> {
    const passwordHash = await hashPassword(password)
    // Only if it still is the hash that was verified: a new password set meanwhile must win.
    if (await users.setPasswordHash(user.id, passwordHash, user.passwordHash)) {
      return { ok: true, user: { ...user, passwordHash } }
    }
    const current = await users.find(user.id)
    const { ok } = await verifyPassword(current?.passwordHash, password)
    return outcomeOf(current, ok)
  }
}

function outcomeOf(user: User | null, passwordIsRight: boolean): LoginOutcome {
  if (!user) return { ok: false, detail: 'unknown_user' }
  // The password first: a disabled account is only worth knowing of where someone has its password.
  if (!passwordIsRight) return { ok: false, detail: 'wrong_password' }
  return user.disabled ? { ok: false, detail: 'user_disabled' } : { ok: true, user }
}
