/**
 * Making and changing users. Whatever takes something away from a user also ends what was built on it: a new
 * password or a disabled account ends all sessions. Must not know who asks, or what a password is compared with.
 */
import type { Audit } from '../audit.ts'
import type { RoleStore } from '../store/contracts/roles.ts'
import type { SessionStore } from '../store/contracts/sessions.ts'
import type { User, UserStore } from '../store/contracts/users.ts'
import type { Clock, Random } from '../system.ts'
import { hashPassword, LONGEST_PASSWORD, SHORTEST_PASSWORD } from './password.ts'
import { normalizeUsername } from './username.ts'

/** The name, password or address is none that an account can have; the message says why. */
export class InvalidAccount extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'InvalidAccount'
  }
}

/** It contradicts what there is: a name that is taken, a role that does not exist. Nothing has changed. */
export class AccountConflict extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'AccountConflict'
  }
}

export interface NewUser {
  readonly username: string
  readonly email: string | null
  readonly roles: readonly string[]
  readonly password: string
}

export interface Users {
  /** @throws {InvalidAccount} | {AccountConflict} */
  create(user: NewUser): Promise<User>
  /** null if there is none of this name. */
  find(username: string): Promise<User | null>
  /** Ends the user's sessions; returns their ids. @throws {InvalidAccount} */
  setPassword(user: User, password: string): Promise<string[]>
  /** Disabling ends the user's sessions; returns their ids. */
  setDisabled(user: User, disabled: boolean): Promise<string[]>
  /** @throws {AccountConflict} */
  addRole(user: User, role: string): Promise<void>
  /** @throws {AccountConflict} */
  removeRole(user: User, role: string): Promise<void>
}

export interface UsersDeps {
  readonly store: { readonly users: UserStore; readonly roles: RoleStore; readonly sessions: SessionStore }
  readonly clock: Clock
  readonly random: Pick<Random, 'id'>
  readonly audit: Audit
}

/** @param actor who is said to have done it, in the audit trail */
export function createUsers({ store, clock, random, audit }: UsersDeps, actor: string): Users {
  const { users, roles, sessions } = store

  const changed = (user: User, action: string) =>
    audit('user.changed', { actor, sub: user.id, target: user.username, action })

  async function endSessions(user: User, reason: string): Promise<string[]> {
    const ended = await sessions.revokeMatching({ userId: user.id }, clock.now(), reason)
    for (const sid of ended) audit('session.revoked', { actor, sub: user.id, sid, reason })
    return ended
  }

  async function assertRole(role: string): Promise<void> {
    if (!(await roles.find(role))) throw new AccountConflict(`there is no role ${role}`)
  }

  return {
    async create({ username, email, roles: given, password }) {
      const name = normalizeUsername(username)
      if (name === null) {
        throw new InvalidAccount(
          'user name must be 1 to 200 printable characters, with single spaces at most',
        )
      }
      checkEmail(email)
      checkPassword(password)
      for (const role of given) await assertRole(role)
      const now = clock.now()
      const user: User = {
        id: `u_${random.id()}`,
        username: name,
        email,
        emailVerified: false,
        name: null,
        passwordHash: await hashPassword(password),
        roles: [...new Set(given)].sort(),
        disabled: false,
        createdAt: now,
        updatedAt: now,
      }
      if (!(await users.insert(user))) throw new AccountConflict(`the user ${name} exists already`)
      changed(user, 'created')
      return user
    },

    async find(username) {
      const name = normalizeUsername(username)
      return name === null ? null : users.findByUsername(name)
    },

    async setPassword(user, password) {
      checkPassword(password)
      // First the password, then the sessions: none may begin with the old one in between.
      await users.setPasswordHash(user.id, await hashPassword(password))
      changed(user, 'password set')
      return endSessions(user, 'password changed')
    },

    async setDisabled(user, disabled) {
      await users.setDisabled(user.id, disabled)
      changed(user, disabled ? 'disabled' : 'enabled')
      return disabled ? endSessions(user, 'account disabled') : []
    },

    async addRole(user, role) {
      await assertRole(role)
      if (!(await users.addRole(user.id, role))) {
        throw new AccountConflict(`${user.username} has the role ${role} already`)
      }
      changed(user, `role ${role} added`)
    },

    async removeRole(user, role) {
      if (!(await users.removeRole(user.id, role))) {
        throw new AccountConflict(`${user.username} does not have the role ${role}`)
      }
      changed(user, `role ${role} removed`)
    },
  }
}

/** NIST SP 800-63B §5.1.1.2: length, and no rules of composition. */
function checkPassword(password: string): void {
  if (password.length < SHORTEST_PASSWORD || password.length > LONGEST_PASSWORD) {
    throw new InvalidAccount(`password must have ${SHORTEST_PASSWORD} to ${LONGEST_PASSWORD} characters`)
  }
}

/** Only what would be no address at all: whether it works is known when something has been sent there. */
function checkEmail(email: string | null): void {
  if (email !== null && (email.length > 254 || !/^[^\p{C}\p{Z}@]+@[^\p{C}\p{Z}@]+$/u.test(email))) {
    throw new InvalidAccount('email must be an address such as alice@example.com')
  }
}
