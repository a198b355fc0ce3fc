import { Command } from 'commander'
import { signOutEverywhere } from '../accounts/sign-out.ts'
import { normalizeUsername } from '../accounts/username.ts'
import type { Base } from '../node/base.ts'
import type { ClientSession, ClientSessionFilter } from '../store/contracts/client-sessions.ts'
import type { EpochSeconds } from '../system.ts'
import {
  action,
  CommandError,
  type CommandFactory,
  type Context,
  examples,
  type Json,
  UsageError,
} from './context.ts'
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

/** At most this many sessions are listed. */
const MAX_SESSIONS = 1000

/** @throws {CommandError} if the user, client or session does not exist: an empty result would look like success */
async function createFilter(base: Base, options: FilterOptions): Promise<ClientSessionFilter> {
  const filter: { -readonly [K in keyof ClientSessionFilter]: ClientSessionFilter[K] } = {}
  if (options.user !== undefined) {
    const name = normalizeUsername(options.user)
    const user = name === null ? null : await base.store.users.findByUsername(name)
    if (!user) throw new CommandError(`there is no user ${options.user}`)
    filter.userId = user.id
  }
  if (options.client !== undefined) {
    if (!(await base.store.clients.find(options.client))) {
      throw new CommandError(`there is no client ${options.client}`)
    }
    filter.clientId = options.client
  }
  if (options.id !== undefined) {
    if (!(await base.store.clientSessions.find(options.id)))
      throw new CommandError(`there is no session ${options.id}`)
    filter.id = options.id
  }
  return filter
}

function stateOf(session: ClientSession, now: EpochSeconds): 'active' | 'expired' | 'revoked' {
  if (session.revokedAt !== null) return 'revoked'
  return now >= session.expiresAt || now >= session.idleExpiresAt ? 'expired' : 'active'
}

function list(context: Context, options: FilterOptions): Promise<void> {
  return context.withStore(async (base) => {
    const sessions = await base.store.clientSessions.list(await createFilter(base, options), MAX_SESSIONS + 1)
    if (sessions.length > MAX_SESSIONS)
      context.note(`only the newest ${MAX_SESSIONS} sessions are shown; see --user and --client`)
    const shown = sessions.slice(0, MAX_SESSIONS)
    const now = base.clock.now()
    const names = new Map<string, string>()
    for (const { userId } of shown) {
      if (!names.has(userId)) names.set(userId, (await base.store.users.find(userId))?.username ?? '')
    }
    const values = shown.map((session) => ({
      id: session.id,
      state: stateOf(session, now),
      user_id: session.userId,
      username: names.get(session.userId) ?? '',
      client_id: session.clientId,
      scope: session.scopes.join(' '),
      audience: session.audience,
      created_at: session.createdAt,
      last_used_at: session.rotatedAt,
      expires_at: Math.min(session.expiresAt, session.idleExpiresAt),
      revoked_at: session.revokedAt,
      revoked_for: session.revokedReason,
    }))
    const rows = values.map((value) => [
      value.id,
      value.username,
      value.client_id,
      value.revoked_for ? `revoked: ${value.revoked_for}` : value.state,
      time(value.created_at),
      time(value.last_used_at),
      time(value.expires_at),
    ])
    const text = table(['ID', 'USER', 'CLIENT', 'STATE', 'SIGNED IN', 'LAST USED', 'ENDS'], rows)
    context.print(options, values, text)
  })
}

function revoke(context: Context, options: FilterOptions): Promise<void> {
  const selectors = [options.user, options.client, options.id].filter((value) => value !== undefined)
  if (selectors.length !== 1) throw new UsageError('exactly one of --user, --client and --id is required')
  return context.withStore(async (base) => {
    const filter = await createFilter(base, options)
    const revoked = await revokeMatching(context, base, filter)
    context.print(options, { revoked }, `revoked ${count(revoked.length, 'session')}`)
  })
}

async function revokeMatching(
  context: Context,
  base: Base,
  filter: ClientSessionFilter,
): Promise<readonly string[]> {
  const { actor } = context
  const reason = 'revoked by an operator'
  if (filter.userId !== undefined) {
    // The browsers are signed out too: otherwise a new session would be only a click away.
    const { userSessions, clientSessions } = await signOutEverywhere(base, filter.userId, reason, actor)
    if (userSessions.length > 0) context.note(`${count(userSessions.length, 'browser')} signed out`)
    return clientSessions
  }
  const session = filter.id === undefined ? null : await base.store.clientSessions.find(filter.id)
  const auditFields = session
    ? { sub: session.userId, client_id: session.clientId }
    : filter.clientId === undefined
      ? {}
      : { client_id: filter.clientId }
  const revoked = await base.store.clientSessions.revokeMatching(filter, base.clock.now(), reason)
  for (const sid of revoked) base.audit('client_session.revoked', { actor, ...auditFields, sid, reason })
  return revoked
}
