/** Users: people with an account. */
import { deleteUser } from '../accounts/delete-user.ts'
import { createOneTimeLink } from '../accounts/one-time-links.ts'
import { InvalidAccount } from '../accounts/profile.ts'
import { resetSecondFactors } from '../accounts/second-factors.ts'
import { normalizeUsername } from '../accounts/username.ts'
import { AccountConflict, type ChangedUser, createUsers } from '../accounts/users.ts'
import type { LinkPurpose } from '../store/contracts/one-time-links.ts'
import type { User } from '../store/contracts/users.ts'
import type { Actor } from './actor.ts'
import { createAdministrators } from './administrators.ts'
import type { LocalDeps } from './deps.ts'
import { conflict, invalidValue, notFound } from './errors.ts'
import { ageCursor, ageOf, storedPage } from './page.ts'
import { assertRevision } from './revision.ts'
import { accountOf, changeOf, deletedNotes, revisionOf, signedOutNotes, viewOf } from './user-view.ts'
import type {
  CheckedUserView,
  InvitationView,
  NewUserView,
  OneTimeLinkView,
  RemovedFactorsView,
  UserChangeView,
  UserView,
} from './users.schema.ts'
import type { Changed, Condition, Force, Found, Page, PageQuery } from './verbs.ts'

interface UserQuery extends PageQuery {
  readonly role?: string | undefined
  readonly disabled?: boolean | undefined
}

/** Every verb may throw an {@link AdminError}. */
export interface UsersAdmin {
  /** Oldest first. */
  list(query: UserQuery): Promise<Page<UserView>>
  find(username: string): Promise<Found<UserView>>
  /** Refuses what `create` would refuse, and changes nothing. */
  checkNew(user: NewUserView): Promise<Changed<CheckedUserView>>
  /** Refuses what `setPassword` would refuse, and changes nothing. */
  checkPassword(username: string, password: string): Promise<Changed<CheckedUserView>>
  /** Without a password, the user needs a link to set one: see `invite`. */
  create(user: NewUserView): Promise<Changed<UserView>>
  /** Roles take effect with the next token. */
  update(username: string, change: UserChangeView, condition?: Condition & Force): Promise<Changed<UserView>>
  /** Sessions end, tokens are revoked, and all rows of the user go (docs/privacy.md). */
  delete(username: string, condition?: Condition & Force): Promise<Changed<{ readonly deleted: string }>>
  /** Signs the user out everywhere. */
  disable(username: string, condition?: Condition & Force): Promise<Changed<UserView>>
  enable(username: string, condition?: Condition): Promise<Changed<UserView>>
  /** Signs the user out everywhere. */
  setPassword(username: string, password: string, condition?: Condition): Promise<Changed<UserView>>
  /** Creates the account if there is none, and a link with which its user sets the first password. */
  invite(username: string, invitation: InvitationView): Promise<Changed<OneTimeLinkView>>
  /** A link with which a user who forgot the password sets another one. */
  resetLink(username: string): Promise<Changed<OneTimeLinkView>>
  resetSecondFactor(username: string, condition?: Condition): Promise<Changed<RemovedFactorsView>>
}

export function createUsersAdmin(deps: LocalDeps, actor: Actor): UsersAdmin {
  const { store, clock } = deps
  const users = createUsers(deps, actor.name)
  const administrators = createAdministrators(store, actor)

  async function requireUser(username: string): Promise<User> {
    const user = await users.find(username)
    if (!user) throw unknown(username)
    return user
  }

  /** Checks the user as it is when the change is applied, because another administrator may have changed it meanwhile. */
  const checking =
    ({ ifMatch, force }: Condition & Force, loses?: (current: User) => boolean) =>
    async (current: User) => {
      assertRevision(revisionOf(current), ifMatch, `the user ${current.username}`)
      await administrators.assertMayChange(current)
      if (loses?.(current)) await administrators.assertOthersLeft(current, force)
    }

  const disableUser = (user: User, condition: Condition & Force) =>
    users.change(
      user.id,
      { disabled: true },
      checking(condition, ({ disabled }) => !disabled),
      administrators.roleToKeep(user, condition.force),
    )

  const changed = ({ after, ...signedOut }: ChangedUser): Changed<UserView> => ({
    value: viewOf(after),
    revision: revisionOf(after),
    notes: signedOutNotes(signedOut),
  })

  async function createLink(user: User, purpose: LinkPurpose): Promise<Changed<OneTimeLinkView>> {
    await administrators.assertMayChange(user)
    const { link, expiresAt } = await createOneTimeLink(deps, user, purpose, actor.name)
    // A role that was given before the link was stored has not made it void. One that is given from now on does.
    await administrators.assertMayChange(await requireUser(user.username))
    return {
      value: { username: user.username, link, expires_at: expiresAt },
      revision: null,
      notes: ['hand the link over in a way that no one else can read: it works once'],
    }
  }

  return {
    list: (query) => listUsers(store.users, query),

    async find(username) {
      const user = await requireUser(username)
      const browsers = (await store.userSessions.list(user.id, clock.now())).length
      return { value: { ...viewOf(user), browsers }, revision: revisionOf(user) }
    },

    checkNew: refusing(async ({ username, password, ...profile }) => {
      const account = accountOf(username, profile)
      await administrators.assertMayGive(account.roles, username)
      await users.assertCreatable(account)
      if (password !== undefined) await users.assertPassword(password, account)
      return checked(username)
    }),

    checkPassword: refusing(async (username, password) => {
      await users.assertPassword(password, await requireUser(username))
      return checked(username)
    }),

    create: refusing(async ({ username, password = null, ...profile }) => {
      const account = accountOf(username, profile)
      await administrators.assertMayGive(account.roles, username)
      const user = await users.create({ ...account, password })
      const stored = await store.users.find(user.id)
      return {
        value: viewOf(user),
        revision: stored && revisionOf(stored),
        notes:
          password === null
            ? [`${user.username} has no password yet: users invite makes a link to set one`]
            : [],
      }
    }),

    update: refusing(async (username, view, condition = {}) => {
      const user = await requireUser(username)
      const change = changeOf(view)
      const check = checking(condition, ({ roles }) => administrators.isLost(roles, change.roles))
      const isLost = administrators.isLost(user.roles, change.roles)
      return changed(
        await users.change(
          user.id,
          change,
          async (current) => {
            await check(current)
            await administrators.assertMayGive(change.roles ?? [], current.username)
          },
          isLost ? administrators.roleToKeep(user, condition.force) : undefined,
        ),
      )
    }),

    delete: refusing(async (username, condition = {}) => {
      const user = await requireUser(username)
      await checking(condition, () => true)(user)
      // Of two administrators who delete each other, one is left.
      if (administrators.roleToKeep(user, condition.force)) await disableUser(user, condition)
      const deleted = await deleteUser(deps, user, actor.name)
      return { value: { deleted: user.username }, revision: null, notes: deletedNotes(deleted) }
    }),

    disable: refusing(async (username, condition = {}) =>
      changed(await disableUser(await requireUser(username), condition)),
    ),

    enable: refusing(async (username, condition = {}) => {
      const { id } = await requireUser(username)
      return changed(await users.change(id, { disabled: false }, checking(condition)))
    }),

    setPassword: refusing(async (username, password, condition = {}) => {
      const user = await requireUser(username)
      await checking(condition)(user)
      return changed(await users.setPassword(user, password, checking(condition)))
    }),

    invite: refusing(async (username, invitation) => {
      const existing = await users.find(username)
      if (existing) {
        if (Object.keys(invitation).length > 0)
          throw conflict(`the user ${existing.username} already exists: invite the user without options`)
        return createLink(existing, 'invite')
      }
      const account = accountOf(username, invitation)
      await administrators.assertMayGive(account.roles, username)
      const { id } = await users.create({ ...account, password: null })
      return createLink((await store.users.find(id)) ?? (await requireUser(username)), 'invite')
    }),

    resetLink: refusing(async (username) => createLink(await requireUser(username), 'reset')),

    resetSecondFactor: refusing(async (username, condition = {}) => {
      const user = await requireUser(username)
      await checking(condition)(user)
      const factors = await resetSecondFactors(
        { factors: store.factors, audit: deps.audit },
        user,
        actor.name,
      )
      const { totp, passkeys, recoveryCodes } = factors
      const value = {
        id: user.id,
        username: user.username,
        removed: { totp, passkeys, recovery_codes: recoveryCodes },
      }
      const isLockedOut = passkeys > 0 && user.passwordHash === null
      const note = `${user.username} has no password and no passkey now: users invite makes a link to set one`
      return { value, revision: null, notes: isLockedOut ? [note] : [] }
    }),
  }
}

const unknown = (username: string) => notFound(`there is no user ${username}`)

const checked = (username: string): Changed<CheckedUserView> => ({
  value: { username: normalizeUsername(username) ?? username },
  revision: null,
  notes: [],
})

/** Rules of accounts refuse with errors of their own. */
const refusing =
  <Args extends readonly unknown[], R>(verb: (...args: Args) => Promise<R>) =>
  (...args: Args): Promise<R> =>
    verb(...args).catch((error: unknown) => {
      if (error instanceof InvalidAccount) throw invalidValue(error.field, error.message, error)
      if (error instanceof AccountConflict) throw conflict(error.message)
      throw error
    })

async function listUsers(
  store: LocalDeps['store']['users'],
  { role, disabled, ...query }: UserQuery,
): Promise<Page<UserView>> {
  const page = await storedPage(
    {
      read: store.page,
      cursor: ageCursor,
      placeOf: ageOf,
      texts: ({ username, name, email, id }: User) => [username, name, email, id],
      isListed: (user) =>
        (role === undefined || user.roles.includes(role)) &&
        (disabled === undefined || user.disabled === disabled),
    },
    query,
  )
  return { ...page, items: page.items.map(viewOf) }
}
