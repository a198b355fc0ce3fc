import { Command } from 'commander'
import { createUsers, type Users } from '../accounts/users.ts'
import type { Base } from '../deps.ts'
import type { User } from '../store/contracts/users.ts'
import {
  action,
  type CommandFactory,
  type Context,
  collect,
  examples,
  type Json,
  Refused,
} from './context.ts'
import { count, record, table, time } from './output.ts'
import { newPassword } from './secret-input.ts'

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
          .option('--email <address>', 'for people; nothing is sent there')
          .option('--role <role>', 'what the user may do; repeat it for more', collect)
          .option('--password-stdin', FROM_STDIN)
          .action((username: string, options: CreateOptions) => create(context, username, options)),
        'users create alice --email alice@example.com --role clerk --password-stdin < password.txt',
        'users create bob',
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
        action('set-password', 'a new password; ends all sessions of the user')
          .argument('<username>')
          .option('--password-stdin', FROM_STDIN)
          .action((username: string, options: PasswordOptions) => setPassword(context, username, options)),
        'users set-password alice',
        'users set-password alice --password-stdin < password.txt',
      ),
    )
    .addCommand(
      one('disable', 'refuse the user, and end all sessions', (name, options) =>
        setDisabled(context, name, true, options),
      ),
    )
    .addCommand(
      one('enable', 'let the user sign in again', (name, options) =>
        setDisabled(context, name, false, options),
      ),
    )
    .addCommand(role('add-role', 'give a role; it counts from the next token on', 'addRole'))
    .addCommand(role('remove-role', 'take a role; it counts from the next token on', 'removeRole'))
}

interface PasswordOptions extends Json {
  readonly passwordStdin?: boolean
}

interface CreateOptions extends PasswordOptions {
  readonly email?: string
  readonly role?: string[]
}

function describe(user: User) {
  return {
    id: user.id,
    username: user.username,
    roles: user.roles,
    email: user.email,
    disabled: user.disabled,
    created_at: user.createdAt,
  }
}

function print(context: Context, options: Json, user: User): void {
  context.print(options, describe(user), record({ ...describe(user), created_at: time(user.createdAt) }))
}

function withUsers<T>(context: Context, work: (users: Users, base: Base) => Promise<T>): Promise<T> {
  return context.withStore((base) => work(createUsers(base, context.actor), base))
}

async function find(users: Users, username: string): Promise<User> {
  const user = await users.find(username)
  if (!user) throw new Refused(`there is no user ${username}`)
  return user
}

function create(context: Context, username: string, options: CreateOptions): Promise<void> {
  return withUsers(context, async (users) => {
    const password = await newPassword(context.io, options)
    const { email = null, role: roles = [] } = options
    print(context, options, await users.create({ username, email, roles, password }))
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
    context.print(options, users.map(describe), text)
  })
}

function show(context: Context, username: string, options: Json): Promise<void> {
  return withUsers(context, async (users) => print(context, options, await find(users, username)))
}

function setPassword(context: Context, username: string, options: PasswordOptions): Promise<void> {
  return withUsers(context, async (users) => {
    // Asked for only when there is somebody to have it.
    const user = await find(users, username)
    noteEnded(context, await users.setPassword(user, await newPassword(context.io, options)))
    context.print(options, describe(user), `the password of ${user.username} is set`)
  })
}

function setDisabled(context: Context, username: string, disabled: boolean, options: Json): Promise<void> {
  return withUsers(context, async (users) => {
    const user = await find(users, username)
    noteEnded(context, await users.setDisabled(user, disabled))
    const text = `${disabled ? 'disabled' : 'enabled'} ${user.username}`
    context.print(options, describe({ ...user, disabled }), text)
  })
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
    print(context, options, await find(users, username))
  })
}

function noteEnded(context: Context, sessions: readonly string[]): void {
  if (sessions.length > 0) context.note(`${count(sessions.length, 'session')} ended`)
}
