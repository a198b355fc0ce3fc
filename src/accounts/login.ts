/** Sign-in with user name and password. Must not know who asks (a grant, a page) or what it is for. */
import type { Audit, AuditFields } from '../audit/events.ts'
import type { User, UserStore } from '../store/contracts/users.ts'
import type { Gate } from './concurrency-limiter.ts'
import { hashPassword, verifyPassword } from './password.ts'
import { type Throttle, Throttled } from './rate-limiter.ts'
import { normalizeUsername } from './username.ts'

export interface Credentials {
  readonly username: string
  readonly password: string
  readonly ip: string
  readonly requestId: string
  /** undefined: the person came by themselves, to their own account. */
  readonly clientId?: string | undefined
}

/**
 * The user if the password is right and the account enabled, with the hash of that very password; null in one
 * and the same way, and time, for an unknown user, a wrong password and a disabled account.
 * @throws {Throttled} after too many guesses; {GateFull} with too many logins at once
 */
export type Login = (credentials: Credentials) => Promise<User | null>

export interface LoginDeps {
  readonly users: UserStore
  readonly gate: Gate
  readonly throttle: Throttle
  readonly audit: Audit
}

export function createLogin({ users, gate, throttle, audit }: LoginDeps): Login {
  return async (credentials) => {
    const { ip, requestId, clientId } = credentials
    const from = { ...(clientId === undefined ? {} : { client_id: clientId }), ip, request_id: requestId }
    // Throttled only when its turn comes: right passwords that queue up are not guesses. What follows is noted outside,
    // so that nobody waits at the gate for a disk.
    const { counted, known, signedIn } = await gate.run(() => attempt(credentials, from))
    if (!signedIn) {
      audit('login.failed', { ...from, ...(known ? { sub: known.id } : {}) })
      return null
    }
    await counted.succeeded()
    audit('login.succeeded', { ...from, actor: `user:${signedIn.id}`, sub: signedIn.id })
    return signedIn
  }

  async function attempt({ username, password, ip }: Credentials, from: AuditFields) {
    const name = normalizeUsername(username)
    const counted = await throttle.attempt(`user:${name ?? ''}`, ip)
    if (counted.wait > 0) {
      audit('login.throttled', from)
      throw new Throttled(counted.wait)
    }
    const known = name === null ? null : await users.findByUsername(name)
    const { ok, outdated } = await verifyPassword(known?.passwordHash, password)
    const right = known && ok && !known.disabled ? known : null
    return { counted, known, signedIn: right && outdated ? await rehash(right, password) : right }
  }

  async function rehash(user: User, password: string): Promise<User | null> {
    const passwordHash = await hashPassword(password)
    // Only if it still is the hash that was verified: a new password set meanwhile must win.
    if (await users.setPasswordHash(user.id, passwordHash, user.passwordHash))
      return { ...user, passwordHash }
    const current = await users.find(user.id)
    const { ok } = await verifyPassword(current?.passwordHash, password)
    return current && ok && !current.disabled ? current : null
  }
}
