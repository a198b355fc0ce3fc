import { Command } from 'commander'
import { MAX_LIMIT } from '../admin/page.ts'

import { action, type CommandFactory, type Context, examples, type Json, UsageError } from './context.ts'
import { count, table, time } from './output.ts'

export const sessionsCommand: CommandFactory = (context) =>
  new Command('sessions')
    .description('list and revoke client sessions')
    .addCommand(
      examples(
        withFilterOptions(action('list', 'list sessions, newest first')).action((options: FilterOptions) =>
          list(context, options),
        ),
        'sessions list',
        'sessions list --user alice',
      ),
    )
    .addCommand(
      examples(
        withFilterOptions(
          action('revoke', 'revoke sessions; their refresh tokens become invalid at once'),
        ).action((options: FilterOptions) => revoke(context, options)),
        'sessions revoke --user alice',
        'sessions revoke --client shop',
      ),
    )

function withFilterOptions(command: Command): Command {
  return command
    .option('--user <username>', 'only sessions of this user')
    .option('--client <id>', 'only sessions of this client')
    .option('--id <session>', 'only this session')
}

interface FilterOptions extends Json {
  readonly user?: string
  readonly client?: string
  readonly id?: string
}

function list(context: Context, options: FilterOptions): Promise<void> {
  return context.withAdmin(async ({ sessions }) => {
    const { user, client, id } = options
    const { items, next_cursor: more } = await sessions.list({ user, client, id, limit: MAX_LIMIT })
    if (more !== null)
      context.note(`only the newest ${MAX_LIMIT} sessions are shown; see --user and --client`)
    const rows = items.map((session) => [
      session.id,
      session.username,
      session.client_id,
      session.revoked_for ? `revoked: ${session.revoked_for}` : session.state,
      time(session.created_at),
      time(session.last_used_at),
      time(session.expires_at),
    ])
    const text = table(['ID', 'USER', 'CLIENT', 'STATE', 'SIGNED IN', 'LAST USED', 'ENDS'], rows)
    context.print(options, items, text)
  })
}

function revoke(context: Context, options: FilterOptions): Promise<void> {
  const { user, client, id } = options
  const selectors = [user, client, id].filter((value) => value !== undefined)
  if (selectors.length !== 1) throw new UsageError('exactly one of --user, --client and --id is required')
  return context.withAdmin(async ({ sessions }) => {
    const outcome = await (id === undefined ? sessions.endAll({ user, client }) : sessions.end(id))
    const { revoked } = context.changed(outcome)
    context.print(options, { revoked }, `revoked ${count(revoked.length, 'session')}`)
  })
}
