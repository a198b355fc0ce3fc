import { Command } from 'commander'
import { resetSecondFactors } from '../accounts/second-factors.ts'
import { createUsers, type Users } from '../accounts/users.ts'
import type { Base } from '../node/base.ts'
import type { FactorSummary } from '../store/contracts/factors.ts'
import type { Profile, User } from '../store/contracts/users.ts'
import {
  action,
  CommandError,
  type CommandFactory,
  type Context,
  collect,
  examples,
  type Json,
  UsageError,
} from './context.ts'
import { count, table } from './output.ts'
import { newPassword } from './secret-input.ts'
import { describeUser, noteEnded, printUser } from './user-view.ts'

const FROM_STDIN = 'the password is the line on standard input; otherwise it is asked for'

export const usersCommand: CommandFactory = (context) => {
  const one = (name: string, description: string, work: (name: string, options: Json) => Promise<void>) =>
    examples(action(name, description).argument('<username>').action(work), `users ${name} alice`)
  const role = (name: string, description: string, change: 'addRole' | 'removeRole') =>
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
    .description('the people who sign in')
    .addCommand(
      examples(
        action('create', 'make an account')
          .argument('<username>')
          .option('--name <name>', 'the full name, for people')
          .option('--email <address>', 'for people; nothing is sent there')
          .option('--email-verified', 'somebody has made sure that mail there reaches the user')
          .option('--role <role>', 'what the user may do; repeat it for more', collect)
          .option('--password-stdin', FROM_STDIN)
          .action((username: string, options: CreateOptions) => create(context, username, options)),
        'users create alice --email alice@example.com --role clerk --password-stdin < password.txt',
        'users create bob',
      ),
    )
    .addCommand(
      examples(
        action('update', 'change what is said of a user; the rest stays')
          .argument('<username>')
          .option('--name <name>', 'the full name, for people; "" for none')
          .option('--email <address>', 'another address, unverified; "" for none')
          .option('--email-verified', 'somebody has made sure that mail there reaches the user')
          .option('--no-email-verified', 'nobody has')
          .action((username: string, options: ProfileOptions) => update(context, username, options)),
        'users update alice --name "Alice Miller"',
        'users update alice --email alice@example.com --email-verified',
      ),
    )
    .addCommand(
      examples(
        action('list', 'all users').action((options: Json) => list(context, options)),
        'users list',
      ),
    )
    .addCommand(one('show', 'one user', (name, options) => show(context, name, options)))
    .addCommand(
      examples(
        action('set-password', 'a new password; signs the user out everywhere')
          .argument('<username>')
          .option('--password-stdin', FROM_STDIN)
          .action((username: string, options: PasswordOptions) => setPassword(context, username, options)),
        'users set-password alice',
        'users set-password alice --password-stdin < password.txt',
      ),
    )
    .addCommand(
      one('disable', 'refuse the user, and sign them out everywhere', (name, options) =>
        setDisabled(context, name, true, options),
      ),
    )
    .addCommand(
      one('enable', 'let the user sign in again', (name, options) =>
        setDisabled(context, name, false, options),
      ),
    )
    .addCommand(
      one(
        'reset-second-factor',
        'take app, passkeys and recovery codes from somebody who lost them',
        (name, options) => resetSecondFactor(context, name, options),
      ),
    )
    .addCommand(role('add-role', 'give a role; it counts from the next token on', 'addRole'))
    .addCommand(role('remove-role', 'take a role; it counts from the next token on', 'removeRole'))
}

interface PasswordOptions extends Json {
  readonly passwordStdin?: boolean
}

interface ProfileOptions extends Json {
  readonly name?: string
  readonly email?: string
  readonly emailVerified?: boolean
}

interface CreateOptions extends PasswordOptions, ProfileOptions {
  readonly role?: string[]
}

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
    const password = await newPassword(context.io, options)
    const profile = { email: null, emailVerified: false, name: null, ...profileOf(options) }
    printUser(
      context,
      options,
      await users.create({ username, ...profile, roles: options.role ?? [], password }),
    )
  })
}

/** What the options say; an empty text takes away what there was. */
function profileOf({ name, email, emailVerified }: ProfileOptions): Partial<Profile> {
  return {
    ...(name === undefined ? {} : { name: name || null }),
    ...(email === undefined ? {} : { email: email || null }),
    ...(emailVerified === undefined ? {} : { emailVerified }),
  }
}

function update(context: Context, username: string, options: ProfileOptions): Promise<void> {
  const changes = profileOf(options)
  if (Object.keys(changes).length === 0) throw new UsageError('nothing to change: see users update --help')
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
    // Asked for only when there is somebody to have it.
    const user = await find(users, username)
    noteEnded(context, await users.setPassword(user, await newPassword(context.io, options)))
    context.print(options, describeUser(user), `the password of ${user.username} is set`)
  })
}

function setDisabled(context: Context, username: string, disabled: boolean, options: Json): Promise<void> {
  return withUsers(context, async (users) => {
    const user = await find(users, username)
    noteEnded(context, await users.setDisabled(user, disabled))
    const text = `${disabled ? 'disabled' : 'enabled'} ${user.username}`
    context.print(options, describeUser({ ...user, disabled }), text)
  })
}

function resetSecondFactor(context: Context, username: string, options: Json): Promise<void> {
  return withUsers(context, async (users, { store, audit }) => {
    const user = await find(users, username)
    const had = await resetSecondFactors({ factors: store.factors, audit }, user, context.actor)
    const removed = { totp: had.totp, passkeys: had.passkeys, recovery_codes: had.recoveryCodes }
    const any = had.totp || had.passkeys + had.recoveryCodes > 0
    const text = any
      ? `the second factors of ${user.username} are gone: ${inWords(had)}`
      : `${user.username} has no second factor`
    context.print(options, { id: user.id, username: user.username, removed }, text)
  })
}

function inWords({ totp, passkeys, recoveryCodes }: FactorSummary): string {
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
