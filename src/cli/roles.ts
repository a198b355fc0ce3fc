import { Command } from 'commander'
import { allOf } from '../admin/page.ts'
import { changing } from '../admin/revision.ts'
import type { RoleChangeView, RoleView } from '../admin/roles.schema.ts'
import { confirmDelete, type DeleteOptions, yesOption } from './confirm.ts'
import {
  action,
  assertChanges,
  type CommandFactory,
  type Context,
  collectWords,
  examples,
  type Json,
} from './context.ts'
import { changedList, listChanges, SCOPE_LIST } from './list-options.ts'
import { record, table, time } from './output.ts'
import { allowUnownedOption, type ScopeChoice } from './scope-owners.ts'

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

const print = (context: Context, options: Json, role: RoleView): void =>
  context.print(options, role, record({ ...role, created_at: time(role.created_at) }))

function create(context: Context, name: string, options: CreateOptions): Promise<void> {
  const { scope: scopes, requireSecondFactor = false } = options
  return context.withAdmin(async ({ roles }) => {
    const role = { name, scopes, require_second_factor: requireSecondFactor }
    print(context, options, context.changed(await roles.create(role, options)))
  })
}

function list(context: Context, options: Json): Promise<void> {
  return context.withAdmin(async (admin) => {
    const roles = await allOf(admin.roles.list)
    const rows = roles.map((role) => [
      role.name,
      role.scopes.join(' '),
      role.require_second_factor ? 'required' : '',
      time(role.created_at),
    ])
    const text = table(['NAME', 'SCOPES', 'SECOND FACTOR', 'CREATED'], rows)
    context.print(options, roles, text)
  })
}

function update(context: Context, name: string, options: UpdateOptions): Promise<void> {
  const { json, allowUnowned, ...changes } = options
  assertChanges('roles update', changes)
  return context.withAdmin(async ({ roles }) => {
    const change = (current: RoleView): RoleChangeView => ({
      scopes: changedList(SCOPE_LIST, current.scopes, options),
      ...(options.requireSecondFactor === undefined
        ? {}
        : { require_second_factor: options.requireSecondFactor }),
    })
    const outcome = await changing(
      () => roles.find(name),
      (current, condition) => roles.update(name, change(current), { allowUnowned, ...condition }),
    )
    print(context, options, context.changed(outcome))
  })
}

function remove(context: Context, name: string, options: DeleteOptions): Promise<void> {
  return context.withAdmin(async ({ roles }) => {
    await roles.find(name)
    await confirmDelete(
      context,
      options,
      `Delete the role ${name}? Its users lose the scopes that it grants.`,
    )
    context.print(options, context.changed(await roles.delete(name)), `deleted ${name}`)
  })
}
