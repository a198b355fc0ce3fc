/**
 * `login_hint` (OIDC Core §3.1.2.1): whom a client expects to sign in. It is compared only with the user who is signed in, and never
 * looked up, so that no response shows whether an account exists. Pure.
 */
import { normalizeUsername } from '../../accounts/username.ts'
import type { User } from '../../store/contracts/users.ts'

/** Whether the hint is the username, the email address or the `sub` of the user. A text that cannot be a username names no other user. */
export function hintFits(hint: string, user: Pick<User, 'id' | 'username' | 'email'>): boolean {
  const named = normalizeUsername(hint)
  if (named === null || hint === user.id) return true
  return named === user.username || (user.email !== null && named === normalizeUsername(user.email))
}
