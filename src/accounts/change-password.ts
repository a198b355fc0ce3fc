/** Lets users change their own password. The change ends all other sessions of the user. */
import type { Audit } from '../audit/events.ts'
import type { UserStore } from '../store/contracts/users.ts'
import type { ConcurrencyLimiter } from './concurrency-limiter.ts'
import type { Login } from './login.ts'
import { hashPassword, preparePassword } from './password.ts'
import type { PasswordProblem, PasswordRules } from './password-rules.ts'
import type { CurrentUserSession, RequestInfo, UserSessions } from './user-sessions.ts'

interface PasswordChange {
  readonly current: string
  readonly next: string
}

type PasswordChangeRefusal = 'wrong' | 'same' | PasswordProblem

/**
 * Returns the new secret of the current user session, the only session that remains. The secret is null if that session was ended
 * concurrently.
 * @throws {RateLimited} after too many guesses at the current password
 * @throws {Overloaded} if too many requests are waiting
 */
export type ChangePassword = (
  currentSession: CurrentUserSession,
  change: PasswordChange,
  requestInfo: RequestInfo,
) => Promise<{ readonly secret: string | null } | { readonly refused: PasswordChangeRefusal }>

export interface ChangePasswordDeps {
  readonly users: UserStore
  readonly passwordRules: Pick<PasswordRules, 'problemOf'>
  readonly hashingLimiter: ConcurrencyLimiter
  readonly login: Login
  readonly userSessions: Pick<UserSessions, 'endAllExceptCurrent'>
  readonly audit: Audit
}

export function createChangePassword(deps: ChangePasswordDeps): ChangePassword {
  const { users, passwordRules, hashingLimiter, login, userSessions, audit } = deps
  return async (currentSession, { current, next }, requestInfo) => {
    const { ip, requestId } = requestInfo
    const { id, username } = currentSession.user
    const problem = await passwordRules.problemOf(next, currentSession.user)
    if (problem !== null) return { refused: problem }
    // The password is checked like a login, with its rate limits, because someone may be using an unattended browser.
    const outcome = current === '' ? null : await login({ username, password: current, ip, requestId })
    if (!outcome?.ok || outcome.user.id !== id) return { refused: 'wrong' }
    const { user } = outcome
    if (preparePassword(next) === preparePassword(current)) return { refused: 'same' }
    // The location is known since the login above.
    const origin = { kind: 'password', ip, knownLocation: true } as const
    const passwordHash = await hashingLimiter.run(() => hashPassword(next), origin)
    // The hash is replaced only if it is still the one that was verified, so that one of two concurrent changes wins.
    if (!(await users.setPasswordHash(id, passwordHash, user.passwordHash))) return { refused: 'wrong' }
    const actor = `user:${id}`
    audit('user.changed', {
      actor,
      sub: id,
      target: username,
      action: 'password set',
      ip,
      request_id: requestId,
    })
    // The password is changed before sessions end, so that the old password cannot start a session in between.
    const updatedUser = { ...user, passwordHash }
    return {
      secret: await userSessions.endAllExceptCurrent(
        currentSession,
        updatedUser,
        'password changed',
        requestInfo,
      ),
    }
  }
}
