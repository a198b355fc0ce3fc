/**
 * Creates and changes users. A new password or a disabled account signs the user out everywhere. Must not know who calls it, or
 * how a password is verified.
 */
import type { Audit } from '../audit/events.ts'
import { KeyturnError } from '../errors.ts'
import type { ClientSessionStore } from '../store/contracts/client-sessions.ts'
import type { RoleStore } from '../store/contracts/roles.ts'
import type { New } from '../store/contracts/update.ts'
import type { UserSessionStore } from '../store/contracts/user-sessions.ts'
import type { Profile, User, UserStore } from '../store/contracts/users.ts'
import type { Clock, Random } from '../system.ts'
import { hashPassword, MAX_PASSWORD_LENGTH } from './password.ts'
import { createPasswordRules, type PasswordOwner, type PasswordRulesConfig } from './password-rules.ts'
import { InvalidAccount, prepareProfile } from './profile.ts'
import { type SignedOut, signOutEverywhere } from './sign-out.ts'
import { normalizeUsername } from './username.ts'

/** The change contradicts the stored data: the username is taken, or the role does not exist. Nothing was changed. */
export class AccountConflict extends KeyturnError<'account_conflict'> {
  constructor(message: string) {
    super('account_conflict', message)
  }
}

interface NewAccount extends Profile {
  readonly username: string
  readonly roles: readonly string[]
}

interface NewUser extends NewAccount {
  /** null if the user is invited, and will set it. */
  readonly password: string | null
}

export interface Users {
  /** @throws {InvalidAccount | AccountConflict} */
  create(user: NewUser): Promise<New<User>>
  /** Refuses what `create` would refuse whatever the password is. @throws {InvalidAccount | AccountConflict} */
  assertCreatable(account: NewAccount): Promise<void>
  /** @throws {InvalidAccount} if the user cannot have this password */
  assertPassword(password: string, owner: PasswordOwner): Promise<void>
  /** null if no user has this name. */
  find(username: string): Promise<User | null>
  /**
   * Changes the given members. A new email address is unverified unless `emailVerified` is given.
   * @throws {InvalidAccount | AccountConflict}
   */
  setProfile(user: User, changes: Partial<Profile>): Promise<User>
  /** Sessions continue, because they belong to the id. @throws {InvalidAccount | AccountConflict} */
  rename(user: User, username: string): Promise<User>
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
  readonly config: PasswordRulesConfig
}

/** @param actor the `actor` of the audit events */
export function createUsers(deps: UsersDeps, actor: string): Users {
  const { store, clock, random, audit } = deps
  const { users, roles } = store
  const rules = createPasswordRules(deps.config)

  const auditChange = (user: Pick<User, 'id' | 'username'>, action: string) =>
    audit('user.changed', { actor, sub: user.id, target: user.username, action })

  async function assertRole(role: string): Promise<void> {
    if (!(await roles.find(role))) throw new AccountConflict(`there is no role ${role}`)
  }

  async function assertPassword(password: string, owner: PasswordOwner): Promise<void> {
    const problem = await rules.problemOf(password, owner)
    if (problem === 'common') throw new InvalidAccount('password is one of the most common passwords')
    if (problem === 'invisible')
      throw new InvalidAccount('password contains a control character or an invisible character')
    if (problem === 'personal') throw new InvalidAccount('password is too similar to the name of the user')
    if (problem !== null) {
      throw new InvalidAccount(`password must have ${rules.minLength} to ${MAX_PASSWORD_LENGTH} characters`)
    }
  }

  const alreadyExists = (name: string) => new AccountConflict(`the user ${name} already exists`)

  /** @throws {InvalidAccount} */
  function checkedUsername(username: string): string {
    const name = normalizeUsername(username)
    if (name !== null) return name
    throw new InvalidAccount(
      'username must be 1 to 200 printable characters, without leading, trailing or repeated spaces',
    )
  }

  /** @returns the username and the profile as they are stored */
  async function checkNew({ username, roles: roleNames, ...given }: NewAccount) {
    const name = checkedUsername(username)
    const profile = prepareProfile(given)
    for (const role of roleNames) await assertRole(role)
    return { name, profile }
  }

  return {
    async create({ password, ...account }) {
      const { name, profile } = await checkNew(account)
      if (password !== null) await assertPassword(password, { username: name, ...profile })
      const now = clock.now()
      const user: New<User> = {
        id: `u_${random.id()}`,
        username: name,
        ...profile,
        passwordHash: password === null ? null : await hashPassword(password),
        roles: [...new Set(account.roles)].sort(),
        disabled: false,
        createdAt: now,
        updatedAt: now,
      }
      if (!(await users.insert(user))) throw alreadyExists(name)
      auditChange(user, password === null ? 'created without a password' : 'created')
      return user
    },

    async assertCreatable(account) {
      const { name } = await checkNew(account)
      if (await users.findByUsername(name)) throw alreadyExists(name)
    },

    assertPassword,

    async find(username) {
      const name = normalizeUsername(username)
      return name === null ? null : users.findByUsername(name)
    },

    async setProfile(user, changes) {
      const outcome = await users.update(user.id, (current) => {
        const { email = current.email } = changes
        const { emailVerified = email === current.email && current.emailVerified } = changes
        const profile = prepareProfile({ ...current, ...changes, emailVerified })
        return { ...profile, updatedAt: clock.now() }
      })
      if (!outcome.updated) throw new AccountConflict(`there is no user ${user.username}`)
      auditChange(user, 'profile changed')
      return outcome.after
    },

    async rename(user, username) {
      const name = checkedUsername(username)
      const outcome = await users.update(user.id, (current) =>
        current.username === name ? current : { ...current, username: name, updatedAt: clock.now() },
      )
      if (!outcome.updated) {
        throw outcome.reason === 'conflict'
          ? alreadyExists(name)
          : new AccountConflict(`there is no user ${user.username}`)
      }
      const { before, after } = outcome
      if (after !== before) {
        const target = `${before.username} → ${after.username}`
        audit('user.changed', { actor, sub: user.id, target, action: 'renamed' })
      }
      return after
    },

    async setPassword(user, password) {
      await assertPassword(password, user)
      // The password is changed before sessions end, so that the old password cannot start a session in between.
      await users.setPasswordHash(user.id, await hashPassword(password))
      auditChange(user, 'password set')
      return signOutEverywhere(deps, user.id, 'password changed', actor)
    },

    async setDisabled(user, disabled) {
      await users.setDisabled(user.id, disabled)
      auditChange(user, disabled ? 'disabled' : 'enabled')
      return disabled
        ? signOutEverywhere(deps, user.id, 'account disabled', actor)
        : { userSessions: [], clientSessions: [] }
    },

    async addRole(user, role) {
      await assertRole(role)
      if (!(await users.addRole(user.id, role))) {
        throw new AccountConflict(`${user.username} has the role ${role} already`)
      }
      auditChange(user, `role ${role} added`)
    },

    async removeRole(user, role) {
      if (!(await users.removeRole(user.id, role))) {
        throw new AccountConflict(`${user.username} does not have the role ${role}`)
      }
      auditChange(user, `role ${role} removed`)
    },
  }
}
