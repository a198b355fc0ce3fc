/** A person changes their own password. Whoever else is signed in as them, wherever, is signed out by it. */
import type { Audit } from '../audit/events.ts'
import type { UserStore } from '../store/contracts/users.ts'
import type { ConcurrencyLimiter } from './concurrency-limiter.ts'
import type { Login } from './login.ts'
import { hashPassword, MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from './password.ts'
import type { CurrentUserSession, RequestInfo, UserSessions } from './user-sessions.ts'

interface PasswordChange {
  readonly current: string
  readonly next: string
}

type PasswordChangeRefusal = 'wrong' | 'short' | 'long' | 'same'

/**
 * The new secret of this sign-in, which is the only one that is left. null: it has ended too, because something else
 * happened to it meanwhile.
 * @throws {RateLimited} after too many guesses at the current password; {Overloaded}
 */
export type ChangePassword = (
  signedIn: CurrentUserSession,
  change: PasswordChange,
  requestInfo: RequestInfo,
) => Promise<{ readonly secret: string | null } | { readonly refused: PasswordChangeRefusal }>

export interface ChangePasswordDeps {
  readonly users: UserStore
  readonly hashingLimiter: ConcurrencyLimiter
  readonly login: Login
  readonly userSessions: Pick<UserSessions, 'endAllButHere'>
  readonly audit: Audit
}

export function createChangePassword(deps: ChangePasswordDeps): ChangePassword {
  const { users, hashingLimiter, login, userSessions, audit } = deps
  return async (signedIn, { current, next }, requestInfo) => {
    const { ip, requestId } = requestInfo
    const { id, username } = signedIn.user
    if (next.length < MIN_PASSWORD_LENGTH) return { refused: 'short' }
    if (next.length > MAX_PASSWORD_LENGTH) return { refused: 'long' }
    // Counted with the logins: a browser left open is no place to guess at.
    const outcome = current === '' ? null : await login({ username, password: current, ip, requestId })
    if (!outcome?.ok || outcome.user.id !== id) return { refused: 'wrong' }
    const { user } = outcome
    if (next.normalize('NFC') === current.normalize('NFC')) return { refused: 'same' }
    const passwordHash = await hashingLimiter.run(() => hashPassword(next))
    // Only if it still is the one that was proven: of two changes at once one wins.
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
    // First the password, then what began with the old one: nothing more may begin with it in between.
    const changed = { ...user, passwordHash }
    return { secret: await userSessions.endAllButHere(signedIn, changed, 'password changed', requestInfo) }
  }
}
