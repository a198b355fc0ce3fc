import { Command } from 'commander'
import { deleteUser } from '../accounts/delete-user.ts'
import { createOneTimeLink, type HandedOverLink } from '../accounts/one-time-links.ts'
import { EMPTY_PROFILE } from '../accounts/profile.ts'
import { resetSecondFactors } from '../accounts/second-factors.ts'
import { createUsers, type Users } from '../accounts/users.ts'
import type { Base } from '../node/base.ts'
import type { FactorSummary } from '../store/contracts/factors.ts'
import type { Profile, User } from '../store/contracts/users.ts'
import { confirmDelete, type DeleteOptions, yesOption } from './confirm.ts'
import {
  action,
  assertChanges,
  CommandError,
  type CommandFactory,
  type Context,
  collect,
  examples,
  type Json,
} from './context.ts'
import { count, record, table, time } from './output.ts'
import { newPassword } from './secret-input.ts'
import { describeUser, noteSignedOut, printUser } from './user-view.ts'

const PASSWORD_STDIN = 'read the password from standard input instead of prompting'

export const usersCommand: CommandFactory = (context) => {
  const userCommand = (
    name: string,
    description: string,
    work: (name: string, options: Json) => Promise<void>,
  ) => examples(action(name, description).argument('<username>').action(work), `users ${name} alice`)
  const roleCommand = (name: string, description: string, change: 'addRole' | 'removeRole') =>
    examples(
      action(name, description)
        .argument('<username>')
        .argument('<role>')
        .action((username: string, roleName: string, options: Json) =>
          changeRole(context, username, roleName, change, options),
        ),
      `users ${name} alice clerk`,
    )

  return new Command('users')
    .description('manage user accounts')
    .addCommand(
      examples(
        action('create', 'create an account')
          .argument('<username>')
          .option('--name <name>', 'full name')
          .option('--given-name <name>', 'given name')
          .option('--family-name <name>', 'family name')
          .option('--locale <tag>', 'language, such as en or de-CH (BCP 47)')
          .option('--zoneinfo <zone>', 'time zone, such as Europe/Berlin (IANA)')
          .option('--email <address>', 'email address; Keyturn sends no mail')
          .option('--email-verified', 'mark the email address as verified')
          .option('--role <role>', 'role of the user; repeatable', collect)
          .option('--password-stdin', PASSWORD_STDIN)
          .action((username: string, options: CreateOptions) => create(context, username, options)),
        'users create alice --email alice@example.com --role clerk --password-stdin < password.txt',
        'users create bob',
      ),
    )
    .addCommand(
      examples(
        action('invite', 'create an account without a password, and a link with which its user sets one')
          .argument('<username>')
          .option('--name <name>', 'full name')
          .option('--given-name <name>', 'given name')
          .option('--family-name <name>', 'family name')
          .option('--locale <tag>', 'language, such as en or de-CH (BCP 47)')
          .option('--zoneinfo <zone>', 'time zone, such as Europe/Berlin (IANA)')
          .option('--email <address>', 'email address; Keyturn sends no mail')
          .option('--email-verified', 'mark the email address as verified')
          .option('--role <role>', 'role of the user; repeatable', collect)
          .action((username: string, options: InviteOptions) => invite(context, username, options)),
        'users invite alice --email alice@example.com --role clerk',
        'users invite alice',
      ),
    )
    .addCommand(
      userCommand(
        'reset-link',
        'create a link with which a user who forgot the password sets another one',
        (name, options) => resetLink(context, name, options),
      ),
    )
    .addCommand(
      examples(
        action('rename', 'give a user another username; sessions continue')
          .argument('<username>')
          .argument('<new-username>')
          .action((username: string, newName: string, options: Json) =>
            rename(context, username, newName, options),
          ),
        'users rename alice alice.miller',
      ),
    )
    .addCommand(
      examples(
        yesOption(
          action('delete', 'delete an account with everything that is stored about its user, and sign it out')
            .argument('<username>')
            .action((username: string, options: DeleteOptions) => remove(context, username, options)),
        ),
        'users delete alice',
        'users delete alice --yes',
      ),
    )
    .addCommand(
      examples(
        action('update', 'change the profile of a user')
          .argument('<username>')
          .option('--name <name>', 'full name; "" removes it')
          .option('--given-name <name>', 'given name; "" removes it')
          .option('--family-name <name>', 'family name; "" removes it')
          .option('--locale <tag>', 'language, such as en or de-CH (BCP 47); "" removes it')
          .option('--zoneinfo <zone>', 'time zone, such as Europe/Berlin (IANA); "" removes it')
          .option(
            '--email <address>',
            'email address, unverified unless --email-verified is given; "" removes it',
          )
          .option('--email-verified', 'mark the email address as verified')
          .option('--no-email-verified', 'mark the email address as not verified')
          .action((username: string, options: ProfileOptions) => update(context, username, options)),
        'users update alice --name "Alice Miller"',
        'users update alice --email alice@example.com --email-verified',
      ),
    )
    .addCommand(
      examples(
        action('list', 'list all users').action((options: Json) => list(context, options)),
        'users list',
      ),
    )
    .addCommand(userCommand('show', 'show a user', (name, options) => show(context, name, options)))
    .addCommand(
      examples(
        action('set-password', 'set a new password, and sign the user out everywhere')
          .argument('<username>')
          .option('--password-stdin', PASSWORD_STDIN)
          .action((username: string, options: PasswordOptions) => setPassword(context, username, options)),
        'users set-password alice',
        'users set-password alice --password-stdin < password.txt',
      ),
    )
    .addCommand(
      userCommand('disable', 'disable an account, and sign the user out everywhere', (name, options) =>
        setDisabled(context, name, true, options),
      ),
    )
    .addCommand(
      userCommand('enable', 're-enable a disabled account', (name, options) =>
        setDisabled(context, name, false, options),
      ),
    )
    .addCommand(
      userCommand(
        'reset-second-factor',
        'remove the authenticator app, passkeys and recovery codes of a user who lost them',
        (name, options) => resetSecondFactor(context, name, options),
      ),
    )
    .addCommand(roleCommand('add-role', 'give a user a role, from the next token on', 'addRole'))
    .addCommand(roleCommand('remove-role', 'remove a role from a user, from the next token on', 'removeRole'))
}

interface PasswordOptions extends Json {
  readonly passwordStdin?: boolean
}

interface ProfileOptions extends Json {
  readonly name?: string
  readonly givenName?: string
  readonly familyName?: string
  readonly locale?: string
  readonly zoneinfo?: string
  readonly email?: string
  readonly emailVerified?: boolean
}

interface InviteOptions extends ProfileOptions {
  readonly role?: string[]
}

interface CreateOptions extends PasswordOptions, InviteOptions {}

function withUsers<T>(context: Context, work: (users: Users, base: Base) => Promise<T>): Promise<T> {
  return context.withStore((base) => work(createUsers(base, context.actor), base))
}

async function find(users: Users, username: string): Promise<User> {
  const user = await users.find(username)
  if (!user) throw new CommandError(`there is no user ${username}`)
  return user
}

function create(context: Context, username: string, options: CreateOptions): Promise<void> {
  return withUsers(context, async (users) => {
    const account = { username, ...EMPTY_PROFILE, ...profileChanges(options), roles: options.role ?? [] }
    // Everything that can be refused is refused before a password is asked for.
    await users.assertCreatable(account)
    const password = await newPassword(context.io, options, (text) => users.assertPassword(text, account))
    printUser(context, options, await users.create({ ...account, password }))
  })
}

/** Creates the account if there is none; an account without a password gets another link. */
function invite(context: Context, username: string, options: InviteOptions): Promise<void> {
  return withUsers(context, async (users, base) => {
    const existing = await users.find(username)
    const { role: roles = [], ...profile } = options
    const changes = profileChanges(profile)
    if (existing && (roles.length > 0 || Object.keys(changes).length > 0))
      throw new CommandError(`the user ${existing.username} already exists: invite it without options`)
    const user =
      existing ?? (await users.create({ username, ...EMPTY_PROFILE, ...changes, roles, password: null }))
    printLink(context, options, user, await createOneTimeLink(base, user, 'invite', context.actor))
  })
}

function resetLink(context: Context, username: string, options: Json): Promise<void> {
  return withUsers(context, async (users, base) => {
    const user = await find(users, username)
    printLink(context, options, user, await createOneTimeLink(base, user, 'reset', context.actor))
  })
}

function printLink(
  context: Context,
  options: Json,
  { username }: Pick<User, 'username'>,
  { link, expiresAt }: HandedOverLink,
): void {
  const value = { username, link, expires_at: expiresAt }
  context.note('hand the link over in a way that no one else can read: it works once')
  context.print(options, value, record({ ...value, expires_at: time(expiresAt) }))
}

function rename(context: Context, username: string, newName: string, options: Json): Promise<void> {
  return withUsers(context, async (users) => {
    printUser(context, options, await users.rename(await find(users, username), newName))
  })
}

function remove(context: Context, username: string, options: DeleteOptions): Promise<void> {
  return withUsers(context, async (users, base) => {
    const user = await find(users, username)
    await confirmDelete(
      context,
      options,
      `Delete the user ${user.username}? All sessions end, and nothing of the account can be restored.`,
    )
    const deleted = await deleteUser(base, user, context.actor)
    noteSignedOut(context, deleted)
    if (!deleted.scrubbed)
      context.note('the database file may still contain remains of deleted rows: see docs/privacy.md')
    context.print(options, { deleted: user.username, id: user.id }, `deleted ${user.username}`)
  })
}

/** The changes that the options describe; an empty string removes a value. */
function profileChanges(options: ProfileOptions): Partial<Profile> {
  const texts = ['name', 'givenName', 'familyName', 'locale', 'zoneinfo', 'email'] as const
  const given = texts.filter((text) => options[text] !== undefined)
  const { emailVerified } = options
  return {
    ...Object.fromEntries(given.map((text) => [text, options[text] || null])),
    ...(emailVerified === undefined ? {} : { emailVerified }),
  }
}

function update(context: Context, username: string, options: ProfileOptions): Promise<void> {
  const changes = profileChanges(options)
  assertChanges('users update', changes)
  return withUsers(context, async (users) => {
    printUser(context, options, await users.setProfile(await find(users, username), changes))
  })
}

function list(context: Context, options: Json): Promise<void> {
  return context.withStore(async (base) => {
    const users = await base.store.users.list()
    const rows = users.map((user) => [
      user.username,
      user.id,
      user.email,
      user.roles.join(' '),
      user.disabled ? 'disabled' : 'enabled',
    ])
    const text = table(['USERNAME', 'ID', 'EMAIL', 'ROLES', 'STATE'], rows)
    context.print(options, users.map(describeUser), text)
  })
}

function show(context: Context, username: string, options: Json): Promise<void> {
  return withUsers(context, async (users, { store, clock }) => {
    const user = await find(users, username)
    const browsers = (await store.userSessions.list(user.id, clock.now())).length
    printUser(context, options, user, { browsers })
  })
}

function setPassword(context: Context, username: string, options: PasswordOptions): Promise<void> {
  return withUsers(context, async (users) => {
    // Prompt for a password only if the user exists.
    const user = await find(users, username)
    const password = await newPassword(context.io, options, (text) => users.assertPassword(text, user))
    noteSignedOut(context, await users.setPassword(user, password))
    context.print(options, describeUser(user), `set the password of ${user.username}`)
  })
}

function setDisabled(context: Context, username: string, disabled: boolean, options: Json): Promise<void> {
  return withUsers(context, async (users) => {
    const user = await find(users, username)
    noteSignedOut(context, await users.setDisabled(user, disabled))
    const text = `${disabled ? 'disabled' : 'enabled'} ${user.username}`
    context.print(options, describeUser({ ...user, disabled }), text)
  })
}

function resetSecondFactor(context: Context, username: string, options: Json): Promise<void> {
  return withUsers(context, async (users, { store, audit }) => {
    const user = await find(users, username)
    const factors = await resetSecondFactors({ factors: store.factors, audit }, user, context.actor)
    const removed = { totp: factors.totp, passkeys: factors.passkeys, recovery_codes: factors.recoveryCodes }
    const hadFactors = factors.totp || factors.passkeys + factors.recoveryCodes > 0
    const text = hadFactors
      ? `removed the second factors of ${user.username}: ${factorsText(factors)}`
      : `${user.username} has no second factor`
    context.print(options, { id: user.id, username: user.username, removed }, text)
  })
}

function factorsText({ totp, passkeys, recoveryCodes }: FactorSummary): string {
  const parts = [count(passkeys, 'passkey'), count(recoveryCodes, 'recovery code')]
  return [...(totp ? ['authenticator app'] : []), ...parts].join(', ')
}

function changeRole(
  context: Context,
  username: string,
  role: string,
  change: 'addRole' | 'removeRole',
  options: Json,
): Promise<void> {
  return withUsers(context, async (users) => {
    const user = await find(users, username)
    await users[change](user, role)
    printUser(context, options, await find(users, username))
  })
}
