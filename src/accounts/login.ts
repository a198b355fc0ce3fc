/** Verifies a username and a password. Must not know whether a grant or a page calls it. */
import type { Audit, AuditFields } from '../audit/events.ts'
import type { User, UserStore } from '../store/contracts/users.ts'
import type { Seconds } from '../system.ts'
import type { ConcurrencyLimiter } from './concurrency-limiter.ts'
import { hashPassword, verifyPassword } from './password.ts'
import { LIMITS, RateLimited, type RateLimiter } from './rate-limiter.ts'
import { normalizeUsername } from './username.ts'
import type { WriteLimiter } from './write-limiter.ts'

interface Credentials {
  readonly username: string
  readonly password: string
  readonly ip: string
  readonly requestId: string
  /** undefined if the user signs in to the account page, without a client. */
  readonly clientId?: string | undefined
}

export type LoginOutcome =
  /** The password is correct and the account is enabled. `user` has the hash of that password. */
  | { readonly ok: true; readonly user: User }
  /** `detail` is for the audit trail only. The response and its timing do not depend on it. */
  | { readonly ok: false; readonly detail: 'unknown_user' | 'wrong_password' | 'user_disabled' }

/**
 * @throws {RateLimited} after too many guesses
 * @throws {Overloaded} if too many requests are waiting
 */
export type Login = (credentials: Credentials) => Promise<LoginOutcome>

export interface LoginDeps {
  readonly users: UserStore
  readonly hashingLimiter: ConcurrencyLimiter
  readonly rateLimiter: RateLimiter
  readonly writeLimiter: Pick<WriteLimiter, 'take'>
  readonly audit: Audit
}

export function createLogin({ users, hashingLimiter, rateLimiter, writeLimiter, audit }: LoginDeps): Login {
  return async (credentials) => {
    const { ip, requestId, clientId } = credentials
    const from = { ...(clientId === undefined ? {} : { client_id: clientId }), ip, request_id: requestId }
    const name = normalizeUsername(credentials.username)
    // A guess that will be refused does not wait in the queue.
    const guess = await rateLimiter.prepare(`user:${name ?? ''}`, ip, LIMITS)
    if ('retryAfter' in guess) throw rateLimited(guess.retryAfter, from)
    const origin = { kind: 'password', ip, knownLocation: guess.knownLocation } as const
    const { known, outcome } = await hashingLimiter.run(async () => {
      // Counted when it leaves the queue: correct passwords that wait there are not guesses.
      const retryAfter = await guess.count()
      if (retryAfter > 0) throw rateLimited(retryAfter, from)
      return attempt(name, credentials.password)
    }, origin)
    // The result is written outside the limiter, so that no queued login waits for the disk.
    if (!outcome.ok) {
      audit('login.failed', { ...from, ...(known ? { sub: known.id } : {}), detail: outcome.detail })
      return outcome
    }
    const wait = writeLimiter.take('login', outcome.user.id)
    if (wait > 0) throw rateLimited(wait, from)
    await guess.succeeded()
    audit('login.succeeded', { ...from, actor: `user:${outcome.user.id}`, sub: outcome.user.id })
    return outcome
  }

  function rateLimited(retryAfter: Seconds, from: AuditFields): RateLimited {
    audit('login.rate_limited', from)
    return new RateLimited(retryAfter)
  }

  async function attempt(name: string | null, password: string) {
    const known = name === null ? null : await users.findByUsername(name)
    const { ok, outdated } = await verifyPassword(known?.passwordHash, password)
    const outcome = outcomeOf(known, ok)
    return { known, outcome: outcome.ok && outdated ? await rehash(outcome.user, password) : outcome }
  }

  async function rehash(user: User, password: string): Promise<LoginOutcome> {
    const passwordHash = await hashPassword(password)
    // The hash is replaced only if it is still the one that was verified: a password that was set concurrently must win.
    if (await users.setPasswordHash(user.id, passwordHash, user.passwordHash)) {
      return { ok: true, user: { ...user, passwordHash } }
    }
    const current = await users.find(user.id)
    const { ok } = await verifyPassword(current?.passwordHash, password)
    return outcomeOf(current, ok)
  }
}

function outcomeOf(user: User | null, passwordIsCorrect: boolean): LoginOutcome {
  if (!user) return { ok: false, detail: 'unknown_user' }
  // The password is checked first, so `user_disabled` in the audit trail means that the password was correct.
  if (!passwordIsCorrect) return { ok: false, detail: 'wrong_password' }
  return user.disabled ? { ok: false, detail: 'user_disabled' } : { ok: true, user }
}
