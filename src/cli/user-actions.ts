/** What the commands of users do: arguments → one verb → a table. */
import type { Admin } from '../admin/admin.ts'
import { allOf } from '../admin/page.ts'
import { changing } from '../admin/revision.ts'
import type {
  InvitationView,
  OneTimeLinkView,
  RemovedFactorsView,
  UserChangeView,
  UserView,
} from '../admin/users.schema.ts'
import type { Changed } from '../admin/verbs.ts'
import { confirmDelete, type DeleteOptions } from './confirm.ts'
import { assertChanges, CommandError, type Context, type Json } from './context.ts'
import { count, record, table, time } from './output.ts'
import { newPassword } from './secret-input.ts'

export interface ForceOptions extends Json {
  readonly force?: boolean
}

export interface PasswordOptions extends Json {
  readonly passwordStdin?: boolean
}

export interface ProfileOptions extends Json {
  readonly name?: string
  readonly givenName?: string
  readonly familyName?: string
  readonly locale?: string
  readonly zoneinfo?: string
  readonly email?: string
  readonly emailVerified?: boolean
}

export interface InviteOptions extends ProfileOptions {
  readonly role?: string[]
}

export interface CreateOptions extends PasswordOptions, InviteOptions {}

function print(context: Context, options: Json, user: UserView): void {
  context.print(options, user, record({ ...user, created_at: time(user.created_at) }))
}

export function create(context: Context, username: string, options: CreateOptions): Promise<void> {
  return context.withAdmin(async ({ users }) => {
    const user = { username, ...profileOf(options), roles: options.role ?? [] }
    // Everything that can be refused is refused before a password is asked for.
    await users.checkNew(user)
    const check = async (password: string) => {
      await users.checkNew({ ...user, password })
    }
    const password = await newPassword(context.io, options, check)
    print(context, options, context.changed(await users.create({ ...user, password })))
  })
}

/** The members that the options describe; an empty string removes a value. */
function profileOf(options: ProfileOptions): InvitationView {
  const { name, givenName, familyName, locale, zoneinfo, email, emailVerified } = options
  const texts = { name, given_name: givenName, family_name: familyName, locale, zoneinfo, email }
  return {
    ...Object.fromEntries(
      Object.entries(texts)
        .filter(([, text]) => text !== undefined)
        .map(([member, text]) => [member, text || null]),
    ),
    ...(emailVerified === undefined ? {} : { email_verified: emailVerified }),
  }
}

export function invite(context: Context, username: string, options: InviteOptions): Promise<void> {
  const roles = options.role === undefined ? {} : { roles: options.role }
  return link(context, options, ({ users }) => users.invite(username, { ...profileOf(options), ...roles }))
}

export function resetLink(context: Context, username: string, options: Json): Promise<void> {
  return link(context, options, ({ users }) => users.resetLink(username))
}

export function rename(context: Context, username: string, newName: string, options: Json): Promise<void> {
  return changeUser(context, username, { username: newName }, options)
}

function link(
  context: Context,
  options: Json,
  work: (admin: Admin) => Promise<Changed<OneTimeLinkView>>,
): Promise<void> {
  return context.withAdmin(async (admin) => {
    const value = context.changed(await work(admin))
    context.print(options, value, record({ ...value, expires_at: time(value.expires_at) }))
  })
}

export function update(context: Context, username: string, options: ProfileOptions): Promise<void> {
  const change = profileOf(options)
  assertChanges('users update', change)
  return changeUser(context, username, change, options)
}

export function list(context: Context, options: Json): Promise<void> {
  return context.withAdmin(async (admin) => {
    const users = await allOf(admin.users.list)
    const rows = users.map((user) => [
      user.username,
      user.id,
      user.email,
      user.roles.join(' '),
      user.disabled ? 'disabled' : 'enabled',
    ])
    const text = table(['USERNAME', 'ID', 'EMAIL', 'ROLES', 'STATE'], rows)
    context.print(options, users, text)
  })
}

export function show(context: Context, username: string, options: Json): Promise<void> {
  return context.withAdmin(async ({ users }) => print(context, options, (await users.find(username)).value))
}

export function setPassword(context: Context, username: string, options: PasswordOptions): Promise<void> {
  return context.withAdmin(async ({ users }) => {
    // A password is asked for only if the user exists.
    await users.find(username)
    const check = async (password: string) => {
      await users.checkPassword(username, password)
    }
    const password = await newPassword(context.io, options, check)
    const user = context.changed(await users.setPassword(username, password))
    context.print(options, user, `set the password of ${user.username}`)
  })
}

export function setDisabled(
  context: Context,
  username: string,
  verb: 'disable' | 'enable',
  options: ForceOptions,
): Promise<void> {
  return context.withAdmin(async ({ users }) => {
    const user = context.changed(await users[verb](username, forceOf(options)))
    context.print(options, user, `${verb}d ${user.username}`)
  })
}

export function resetSecondFactor(context: Context, username: string, options: Json): Promise<void> {
  return context.withAdmin(async ({ users }) => {
    const factors = context.changed(await users.resetSecondFactor(username))
    context.print(options, factors, factorsText(factors))
  })
}

function factorsText({ username, removed }: RemovedFactorsView): string {
  const { totp, passkeys, recovery_codes: codes } = removed
  if (!totp && passkeys + codes === 0) return `${username} has no second factor`
  const parts = [count(passkeys, 'passkey'), count(codes, 'recovery code')]
  return `removed the second factors of ${username}: ${[...(totp ? ['authenticator app'] : []), ...parts].join(', ')}`
}

export function remove(
  context: Context,
  username: string,
  options: DeleteOptions & ForceOptions,
): Promise<void> {
  return context.withAdmin(async ({ users }) => {
    const { value } = await users.find(username)
    await confirmDelete(
      context,
      options,
      `Delete the user ${value.username}? All sessions end, and nothing of the account can be restored.`,
    )
    const deleted = context.changed(await users.delete(username, forceOf(options)))
    context.print(options, deleted, `deleted ${deleted.deleted}`)
  })
}

const forceOf = ({ force }: ForceOptions) => (force ? { force } : {})

function changeUser(
  context: Context,
  username: string,
  change: UserChangeView,
  options: Json,
): Promise<void> {
  return context.withAdmin(async ({ users }) =>
    print(context, options, context.changed(await users.update(username, change))),
  )
}

export function addRole(context: Context, username: string, role: string, options: Json): Promise<void> {
  return changeRoles(context, username, options, (user) => {
    if (user.roles.includes(role)) throw new CommandError(`${user.username} has the role ${role} already`)
    return [...user.roles, role]
  })
}

export function removeRole(
  context: Context,
  username: string,
  role: string,
  options: ForceOptions,
): Promise<void> {
  return changeRoles(context, username, options, (user) => {
    if (!user.roles.includes(role)) throw new CommandError(`${user.username} does not have the role ${role}`)
    return user.roles.filter((name) => name !== role)
  })
}

function changeRoles(
  context: Context,
  username: string,
  options: ForceOptions,
  rolesOf: (user: UserView) => string[],
): Promise<void> {
  return context.withAdmin(async ({ users }) => {
    const outcome = await changing(
      () => users.find(username),
      (user, condition) =>
        users.update(username, { roles: rolesOf(user) }, { ...condition, ...forceOf(options) }),
    )
    print(context, options, context.changed(outcome))
  })
}
