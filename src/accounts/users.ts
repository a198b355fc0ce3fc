/**
 * Making and changing users. Whatever takes something away from a user also ends what was built on it: a new
 * password or a disabled account signs the person out everywhere. Must not know who asks, or what a password is compared with.
 */
import type { Audit } from '../audit/events.ts'
import { KeyturnError } from '../errors.ts'
import type { ClientSessionStore } from '../store/contracts/client-sessions.ts'
import type { RoleStore } from '../store/contracts/roles.ts'
import type { UserSessionStore } from '../store/contracts/user-sessions.ts'
import type { Profile, User, UserStore } from '../store/contracts/users.ts'
import type { Clock, Random } from '../system.ts'
import { hashPassword, MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from './password.ts'
import { type SignedOut, signOutEverywhere } from './sign-out.ts'
import { normalizeUsername } from './username.ts'

/** An account cannot have this username, password or email address; the message says why. */
class InvalidAccount extends KeyturnError<'invalid_account'> {
  constructor(message: string) {
    super('invalid_account', message)
  }
}

/** The change contradicts the stored data: the username is taken, or the role does not exist. Nothing was changed. */
class AccountConflict extends KeyturnError<'account_conflict'> {
  constructor(message: string) {
    super('account_conflict', message)
  }
}

interface NewUser extends Profile {
  readonly username: string
  readonly roles: readonly string[]
  readonly password: string
}

export interface Users {
  /** @throws {InvalidAccount} | {AccountConflict} */
  create(user: NewUser): Promise<User>
  /** null if there is none of this name. */
  find(username: string): Promise<User | null>
  /** Changes what is given. An address that was changed is unverified unless that is said too. @throws {InvalidAccount} */
  setProfile(user: User, changes: Partial<Profile>): Promise<User>
  /** Signs the user out everywhere. @throws {InvalidAccount} */
  setPassword(user: User, password: string): Promise<SignedOut>
  /** Disabling signs the user out everywhere. */
  setDisabled(user: User, disabled: boolean): Promise<SignedOut>
  /** @throws {AccountConflict} */
  addRole(user: User, role: string): Promise<void>
  /** @throws {AccountConflict} */
  removeRole(user: User, role: string): Promise<void>
}

export interface UsersDeps {
  readonly store: {
    readonly users: UserStore
    readonly roles: RoleStore
    readonly clientSessions: ClientSessionStore
    readonly userSessions: UserSessionStore
  }
  readonly clock: Clock
  readonly random: Pick<Random, 'id'>
  readonly audit: Audit
}

/** @param actor who is said to have done it, in the audit trail */
export function createUsers(deps: UsersDeps, actor: string): Users {
  const { store, clock, random, audit } = deps
  const { users, roles } = store

  const changed = (user: User, action: string) =>
    audit('user.changed', { actor, sub: user.id, target: user.username, action })

  async function assertRole(role: string): Promise<void> {
    if (!(await roles.find(role))) throw new AccountConflict(`there is no role ${role}`)
  }

  return {
    async create({ username, roles: given, password, ...profile }) {
      const name = normalizeUsername(username)
      if (name === null) {
        throw new InvalidAccount(
          'user name must be 1 to 200 printable characters, with single spaces at most',
        )
      }
      checkProfile(profile)
      checkPassword(password)
      for (const role of given) await assertRole(role)
      const now = clock.now()
      const user: User = {
        id: `u_${random.id()}`,
        username: name,
        ...profile,
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

    async setProfile(user, changes) {
      const { email = user.email, name = user.name } = changes
      const { emailVerified = email === user.email && user.emailVerified } = changes
      const profile = { email, emailVerified, name }
      checkProfile(profile)
      const now = clock.now()
      await users.setProfile(user.id, profile, now)
      changed(user, 'profile changed')
      return { ...user, ...profile, updatedAt: now }
    },

    async setPassword(user, password) {
      checkPassword(password)
      // First the password, then what began with the old one: nothing more may begin with it in between.
      await users.setPasswordHash(user.id, await hashPassword(password))
      changed(user, 'password set')
      return signOutEverywhere(deps, user.id, 'password changed', actor)
    },

    async setDisabled(user, disabled) {
      await users.setDisabled(user.id, disabled)
      changed(user, disabled ? 'disabled' : 'enabled')
      return disabled
        ? signOutEverywhere(deps, user.id, 'account disabled', actor)
        : { userSessions: [], clientSessions: [] }
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
  if (password.length < MIN_PASSWORD_LENGTH || password.length > MAX_PASSWORD_LENGTH) {
    throw new InvalidAccount(`password must have ${MIN_PASSWORD_LENGTH} to ${MAX_PASSWORD_LENGTH} characters`)
  }
}

/** One line of what an eye can see, as it is shown to people. */
const FULL_NAME = /^[^\p{C}\p{Z}]+(?: [^\p{C}\p{Z}]+)*$/u
const MAX_FULL_NAME_LENGTH = 200

function checkProfile({ email, emailVerified, name }: Profile): void {
  checkEmail(email)
  if (emailVerified && email === null) throw new InvalidAccount('there is no address that could be verified')
  if (name !== null && (name.length > MAX_FULL_NAME_LENGTH || !FULL_NAME.test(name))) {
    throw new InvalidAccount(`name must be 1 to ${MAX_FULL_NAME_LENGTH} printable characters`)
  }
}

/** Only what would be no address at all: whether it works is known when something has been sent there. */
function checkEmail(email: string | null): void {
  if (email !== null && (email.length > 254 || !/^[^\p{C}\p{Z}@]+@[^\p{C}\p{Z}@]+$/u.test(email))) {
    throw new InvalidAccount('email must be an address such as alice@example.com')
  }
}
