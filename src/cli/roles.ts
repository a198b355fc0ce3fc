import { Command } from 'commander'
import { isRoleName } from '../accounts/roles.ts'
import type { Base } from '../node/base.ts'
import { checkApiScope } from '../oauth/api-rules.ts'
import type { Role } from '../store/contracts/roles.ts'
import type { New } from '../store/contracts/update.ts'
import { confirmDelete, type DeleteOptions, yesOption } from './confirm.ts'
import {
  action,
  assertChanges,
  CommandError,
  type CommandFactory,
  type Context,
  collectWords,
  examples,
  type Json,
  UsageError,
} from './context.ts'
import { changedList, listChanges, SCOPE_LIST } from './list-options.ts'
import { record, table, time } from './output.ts'
import { allowUnownedOption, assertOwned, noteUnownedScopes, type ScopeChoice } from './scope-owners.ts'

const SECOND_FACTOR = 'require users with this role to sign in with a second factor'

export const rolesCommand: CommandFactory = (context) =>
  new Command('roles')
    .description('manage roles: named sets of scopes that users may have')
    .addCommand(
      examples(
        action('create', 'create a role')
          .argument('<name>')
          .requiredOption('--scope <scope>', 'scope that the role grants; repeatable', collectWords)
          .addOption(allowUnownedOption())
          .option('--require-second-factor', SECOND_FACTOR)
          .action((name: string, options: CreateOptions) => create(context, name, options)),
        'roles create clerk --scope orders:read --scope orders:write',
      ),
    )
    .addCommand(
      examples(
        action('list', 'list all roles').action((options: Json) => list(context, options)),
        'roles list',
      ),
    )
    .addCommand(
      examples(
        listChanges(
          action('update', 'change a role; it takes effect with the next token of each user')
            .argument('<name>')
            .option(
              '--scope <scope>',
              'scope that the role grants; repeatable; replaces all its scopes',
              collectWords,
            ),
          SCOPE_LIST,
        )
          .addOption(allowUnownedOption())
          .option('--require-second-factor', SECOND_FACTOR)
          .option('--no-require-second-factor', 'no longer require a second factor')
          .action((name: string, options: UpdateOptions) => update(context, name, options)),
        'roles update clerk --scope orders:read',
        'roles update clerk --add-scope orders:export',
        'roles update admin --require-second-factor',
      ),
    )
    .addCommand(
      examples(
        yesOption(action('delete', 'delete a role and remove it from all users'))
          .argument('<name>')
          .action((name: string, options: DeleteOptions) => remove(context, name, options)),
        'roles delete clerk',
      ),
    )

interface UpdateOptions extends Json, ScopeChoice {
  readonly scope?: string[]
  readonly requireSecondFactor?: boolean
}

interface CreateOptions extends UpdateOptions {
  readonly scope: string[]
}

function describe(role: New<Role>) {
  return {
    name: role.name,
    scopes: role.scopes,
    require_second_factor: role.requireSecondFactor,
    created_at: role.createdAt,
  }
}

function print(context: Context, options: Json, role: New<Role>): void {
  context.print(options, describe(role), record({ ...describe(role), created_at: time(role.createdAt) }))
}

function checkScopes(scopes: readonly string[]): void {
  if (scopes.length === 0) throw new UsageError('a role needs at least one scope')
  for (const scope of scopes) checkApiScope(scope)
}

async function find(base: Base, name: string): Promise<Role> {
  const role = await base.store.roles.find(name)
  if (!role) throw new CommandError(`there is no role ${name}`)
  return role
}

function create(context: Context, name: string, options: CreateOptions): Promise<void> {
  if (!isRoleName(name)) {
    throw new UsageError('a role name must be 1 to 100 printable characters without spaces')
  }
  checkScopes(options.scope)
  return context.withStore(async (base) => {
    const { scope: scopes, requireSecondFactor = false } = options
    await assertOwned(base, scopes, options)
    const role = { name, scopes, requireSecondFactor, createdAt: base.clock.now() }
    if (!(await base.store.roles.insert(role))) throw new CommandError(`the role ${name} already exists`)
    base.audit('role.changed', { actor: context.actor, target: name, action: 'created' })
    await noteUnownedScopes(context, base, role.scopes)
    print(context, options, role)
  })
}

function list(context: Context, options: Json): Promise<void> {
  return context.withStore(async (base) => {
    const roles = await base.store.roles.list()
    const rows = roles.map((role) => [
      role.name,
      role.scopes.join(' '),
      role.requireSecondFactor ? 'required' : '',
      time(role.createdAt),
    ])
    const text = table(['NAME', 'SCOPES', 'SECOND FACTOR', 'CREATED'], rows)
    context.print(options, roles.map(describe), text)
  })
}

function update(context: Context, name: string, options: UpdateOptions): Promise<void> {
  const { json, allowUnowned, ...changes } = options
  assertChanges('roles update', changes)
  return context.withStore(async (base) => {
    const outcome = await base.store.roles.update(name, async (current) => {
      const { requireSecondFactor = current.requireSecondFactor } = options
      const scopes = changedList(SCOPE_LIST, current.scopes, options)
      checkScopes(scopes)
      await assertOwned(
        base,
        scopes.filter((scope) => !current.scopes.includes(scope)),
        options,
      )
      return { ...current, scopes, requireSecondFactor }
    })
    if (!outcome.updated) throw new CommandError(`there is no role ${name}`)
    const { before, after: role } = outcome
    base.audit('role.changed', { actor: context.actor, target: name, action: 'updated' })
    const added = role.scopes.filter((scope) => !before.scopes.includes(scope))
    await noteUnownedScopes(context, base, added)
    const removed = before.scopes.filter((scope) => !role.scopes.includes(scope))
    if (removed.length > 0)
      await noteUsers(context, base, name, `users who no longer have ${removed.join(', ')} from this role`)
    if (role.requireSecondFactor && !before.requireSecondFactor) {
      await noteUsers(context, base, name, 'users who must now sign in with a second factor')
    }
    print(context, options, role)
  })
}

function remove(context: Context, name: string, options: DeleteOptions): Promise<void> {
  return context.withStore(async (base) => {
    await find(base, name)
    await confirmDelete(
      context,
      options,
      `Delete the role ${name}? Its users lose the scopes that it grants.`,
    )
    await noteUsers(context, base, name, 'users who no longer have the role')
    if (!(await base.store.roles.delete(name))) throw new CommandError(`there is no role ${name}`)
    base.audit('role.changed', { actor: context.actor, target: name, action: 'deleted' })
    context.print(options, { deleted: name }, `deleted ${name}`)
  })
}

/** The note names only this many users. */
const MAX_NAMES = 5

async function noteUsers(context: Context, base: Base, role: string, what: string): Promise<void> {
  const users = (await base.store.users.list()).filter((user) => user.roles.includes(role))
  if (users.length === 0) return
  const names = users.slice(0, MAX_NAMES).map((user) => user.username)
  const others = users.length > MAX_NAMES ? ` and ${users.length - MAX_NAMES} more` : ''
  context.note(`${what}: ${names.join(', ')}${others}`)
}
