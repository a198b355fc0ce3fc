/**
 * Creates and changes users. A new password or a disabled account signs the user out everywhere. Must not know who calls it, or
 * how a password is verified.
 */
import type { Audit } from '../audit/events.ts'
import { KeyturnError } from '../errors.ts'
import { isDotSegment } from '../path-segment.ts'
import type { ClientSessionStore } from '../store/contracts/client-sessions.ts'
import type { RoleStore } from '../store/contracts/roles.ts'
import type { New } from '../store/contracts/update.ts'
import type { UserSessionStore } from '../store/contracts/user-sessions.ts'
import type { Profile, User, UserStore } from '../store/contracts/users.ts'
import type { Clock, Random } from '../system.ts'
import type { Hashing } from './concurrency-limiter.ts'
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
   * Changes the given members. A new email address is unverified unless `emailVerified` is given. Sessions continue after a new
   * username, because they belong to the id. Disabling signs the user out everywhere.
   * @param check called with the user that the change is applied to, again if another administrator was faster; it may throw
   * @param keepRole as in `UserStore.update`
   * @throws {InvalidAccount | AccountConflict}
   */
  change(id: string, change: AccountChange, check?: CheckUser, keepRole?: string): Promise<ChangedUser>
  /** Signs the user out everywhere. @throws {InvalidAccount | AccountConflict} */
  setPassword(user: User, password: string, check?: CheckUser): Promise<ChangedUser>
  /** Disabling signs the user out everywhere. @throws {AccountConflict} */
  setDisabled(user: Pick<User, 'id'>, disabled: boolean): Promise<ChangedUser>
}

export interface AccountChange extends Partial<Profile> {
  readonly username?: string
  /** Replaces all roles. */
  readonly roles?: readonly string[]
  readonly disabled?: boolean
}

type CheckUser = (current: User) => void | Promise<void>

/** `before` and `after` are the same object if nothing has changed. */
export interface ChangedUser extends SignedOut {
  readonly before: User
  readonly after: User
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
  readonly hashing: Hashing
}

/** @param actor the `actor` of the audit events */
export function createUsers(deps: UsersDeps, actor: string): Users {
  const { store, clock, random, audit, hashing } = deps
  const { users, roles } = store
  const rules = createPasswordRules(deps.config)

  const auditChange = (user: Pick<User, 'id' | 'username'>, action: string) =>
    audit('user.changed', { actor, sub: user.id, target: user.username, action })

  async function assertRole(role: string): Promise<void> {
    if (!(await roles.find(role))) throw new AccountConflict(`there is no role ${role}`)
  }

  async function assertPassword(password: string, owner: PasswordOwner): Promise<void> {
    const problem = await rules.problemOf(password, owner)
    if (problem === 'common')
      throw new InvalidAccount('password', 'password is one of the most common passwords')
    if (problem === 'invisible')
      throw new InvalidAccount('password', 'password contains a control character or an invisible character')
    if (problem === 'personal')
      throw new InvalidAccount('password', 'password is too similar to the name of the user')
    if (problem !== null) {
      throw new InvalidAccount(
        'password',
        `password must have ${rules.minLength} to ${MAX_PASSWORD_LENGTH} characters`,
      )
    }
  }

  const alreadyExists = (name: string) => new AccountConflict(`the user ${name} already exists`)
  const missing = (name: string) => new AccountConflict(`there is no user ${name}`)

  /** @throws {InvalidAccount} */
  function checkedUsername(username: string): string {
    const name = normalizeUsername(username)
    if (name !== null && !isDotSegment(name)) return name
    throw new InvalidAccount(
      'username',
      'username must be 1 to 200 printable characters, without leading, trailing or repeated spaces, and not . or ..',
    )
  }

  /** @returns the username and the profile as they are stored */
  async function checkNew({ username, roles: roleNames, ...given }: NewAccount) {
    const name = checkedUsername(username)
    const profile = prepareProfile(given)
    for (const role of roleNames) await assertRole(role)
    return { name, profile }
  }

  async function change(
    id: string,
    changes: AccountChange,
    check?: CheckUser,
    keepRole?: string,
  ): Promise<ChangedUser> {
    const applied = async (current: User) => {
      await check?.(current)
      return apply(current, changes)
    }
    const outcome = await users.update(id, applied, keepRole)
    if (!outcome.updated) {
      if (outcome.reason === 'not_found') throw missing(id)
      throw changes.username === undefined
        ? new AccountConflict('one of the roles was deleted meanwhile')
        : alreadyExists(checkedUsername(changes.username))
    }
    const { before, after } = outcome
    for (const [target, action] of actionsOf(before, after, changes))
      audit('user.changed', { actor, sub: id, target, action })
    const isDisabled = after.disabled && !before.disabled
    const signedOut = isDisabled
      ? await signOutEverywhere(deps, id, 'account disabled', actor)
      : { userSessions: [], clientSessions: [] }
    return { before, after, ...signedOut }
  }

  async function apply(
    current: User,
    { username, roles, disabled, ...profile }: AccountChange,
  ): Promise<User> {
    const { email = current.email } = profile
    const { emailVerified = email === current.email && current.emailVerified } = profile
    const names = roles === undefined ? current.roles : [...new Set(roles)].sort()
    for (const role of names) if (!current.roles.includes(role)) await assertRole(role)
    const next = {
      ...prepareProfile({ ...current, ...profile, emailVerified }),
      username: username === undefined ? current.username : checkedUsername(username),
      roles: names,
      disabled: disabled ?? current.disabled,
    }
    return hasSameProfile(next, current) ? next : { ...next, updatedAt: clock.now() }
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
        passwordHash: password === null ? null : await hashing(() => hashPassword(password)),
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

    change,

    async setPassword(user, password, check) {
      await assertPassword(password, user)
      const passwordHash = await hashing(() => hashPassword(password))
      for (;;) {
        const current = await users.find(user.id)
        if (!current) throw missing(user.username)
        await check?.(current)
        // The password is changed before sessions end, so that the old password cannot start a session in between.
        if (!(await users.setPasswordHash(user.id, passwordHash, current.passwordHash))) continue
        auditChange(current, 'password set')
        const signedOut = await signOutEverywhere(deps, user.id, 'password changed', actor)
        const after = { ...current, passwordHash, revision: current.revision + 1 }
        return { before: current, after, ...signedOut }
      }
    },

    setDisabled: ({ id }, disabled) => change(id, { disabled }),
  }
}

const PROFILE = ['email', 'emailVerified', 'name', 'givenName', 'familyName', 'locale', 'zoneinfo'] as const

const hasSameProfile = (one: User, other: User): boolean =>
  [...PROFILE, 'username' as const].every((member) => one[member] === other[member])

/**
 * The `target` and the `action` of the events that describe a change. A profile is a record of what an administrator has stated, so
 * stating it again is an event too.
 */
function actionsOf(before: User, after: User, changes: AccountChange): [string, string][] {
  const name = after.username
  const added = after.roles.filter((role) => !before.roles.includes(role))
  const removed = before.roles.filter((role) => !after.roles.includes(role))
  return [
    ...(name === before.username ? [] : [[`${before.username} → ${name}`, 'renamed'] as [string, string]]),
    ...(PROFILE.some((member) => changes[member] !== undefined)
      ? [[name, 'profile changed'] as [string, string]]
      : []),
    ...added.map((role): [string, string] => [name, `role ${role} added`]),
    ...removed.map((role): [string, string] => [name, `role ${role} removed`]),
    ...(before.disabled === after.disabled
      ? []
      : [[name, after.disabled ? 'disabled' : 'enabled'] as [string, string]]),
  ]
}
