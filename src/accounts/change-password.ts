/** A person changes their own password. Whoever else is signed in as them, wherever, is signed out by it. */
import type { Audit } from '../audit/events.ts'
import type { UserStore } from '../store/contracts/users.ts'
import type { Gate } from './concurrency-limiter.ts'
import type { Login } from './login.ts'
import { hashPassword, LONGEST_PASSWORD, SHORTEST_PASSWORD } from './password.ts'
import type { CurrentSignIn, SignIns, Visitor } from './user-sessions.ts'

interface PasswordChange {
  readonly current: string
  readonly next: string
}

type PasswordChangeRefusal = 'wrong' | 'short' | 'long' | 'same'

/**
 * The new secret of this sign-in, which is the only one that is left. null: it has ended too, because something else
 * happened to it meanwhile.
 * @throws {Throttled} after too many guesses at the current password; {GateFull}
 */
export type ChangePassword = (
  signedIn: CurrentSignIn,
  change: PasswordChange,
  visitor: Visitor,
) => Promise<{ readonly secret: string | null } | { readonly refused: PasswordChangeRefusal }>

export interface ChangePasswordDeps {
  readonly users: UserStore
  readonly gate: Gate
  readonly login: Login
  readonly signIns: Pick<SignIns, 'endAllButHere'>
  readonly audit: Audit
}

export function createChangePassword(deps: ChangePasswordDeps): ChangePassword {
  const { users, gate, login, signIns, audit } = deps
  return async (signedIn, { current, next }, visitor) => {
    const { ip, requestId } = visitor
    const { id, username } = signedIn.user
    if (next.length < SHORTEST_PASSWORD) return { refused: 'short' }
    if (next.length > LONGEST_PASSWORD) return { refused: 'long' }
    // Counted with the logins: a browser left open is no place to guess at.
    const outcome = current === '' ? null : await login({ username, password: current, ip, requestId })
    if (!outcome?.ok || outcome.user.id !== id) return { refused: 'wrong' }
    const { user } = outcome
    if (next.normalize('NFC') === current.normalize('NFC')) return { refused: 'same' }
    const passwordHash = await gate.run(() => hashPassword(next))
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
    return { secret: await signIns.endAllButHere(signedIn, changed, 'password changed', visitor) }
  }
}
