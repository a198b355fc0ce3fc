import { InvalidArgumentError } from 'commander'
import { normalizeUsername } from '../accounts/username.ts'
import { AUDIT_EVENTS } from '../audit/events.ts'
import { type Anchor, verifyLog } from '../audit/verify.ts'
import { duration } from '../config/parsers.ts'
import { auditKeys } from '../keys/audit-keys.ts'
import type { Base } from '../node/base.ts'
import type { AuditFilter, AuditRow } from '../store/contracts/audit.ts'
import type { EpochSeconds } from '../system.ts'
import {
  AlreadyReported,
  action,
  CommandError,
  type CommandFactory,
  type Context,
  examples,
  type Json,
  UsageError,
} from './context.ts'
import { count, table, time } from './output.ts'

export const auditCommand: CommandFactory = (context) =>
  examples(
    action('audit', 'what has happened: the audit log that the store keeps, newest last')
      .option('--since <time>', 'not before; 1h, 30d, or 2026-01-31T12:00:00Z')
      .option('--until <time>', 'before')
      .option('--user <user>', 'about or by this user: name, or id of one that was deleted')
      .option('--client <id>', 'about or by this client')
      .option('--event <event>', 'of this kind only', eventOption)
      .option('--limit <number>', 'the newest so many', limitOption, SHOWN)
      .action((options: Filters) => list(context, options))
      .addCommand(
        examples(
          action('verify', 'whether a row is missing or was changed; exit 1 if so')
            .option(
              '--anchor <seq:hash>',
              'an end of the log as it was, from a line audit.head',
              anchorOption,
            )
            .action((options: Json & { anchor?: Anchor }) => verify(context, options)),
          'audit verify',
        ),
      ),
    'audit --since 1h --user alice',
    'audit --event keys.rotated --json',
  )

interface Filters extends Json {
  readonly since?: string
  readonly until?: string
  readonly user?: string
  readonly client?: string
  readonly event?: string
  readonly limit: number
}

const SHOWN = 200
const MAX_SHOWN = 100_000

function eventOption(value: string): string {
  if ((AUDIT_EVENTS as readonly string[]).includes(value)) return value
  throw new InvalidArgumentError('docs/operations.md lists the events.')
}

function limitOption(value: string): number {
  const parsed = /^\d{1,6}$/.test(value) ? Number(value) : 0
  if (parsed >= 1 && parsed <= MAX_SHOWN) return parsed
  throw new InvalidArgumentError(`It must be a number from 1 to ${MAX_SHOWN}.`)
}

function anchorOption(value: string): Anchor {
  const [, seq, hash] = /^(\d{1,15}):([\w-]{43})$/.exec(value) ?? []
  if (seq === undefined || hash === undefined) throw new InvalidArgumentError('It must be <seq>:<hash>.')
  return { seq: Number(seq), hash }
}

const ago = duration('1s', '36500d')

/** A length of time before now, or a moment. */
function moment(name: string, value: string, now: EpochSeconds): EpochSeconds {
  if (/^\d+[smhd]$/.test(value)) return now - ago(value)
  const parsed = /^\d{4}-\d\d-\d\d/.test(value) ? Date.parse(value) : Number.NaN
  if (!Number.isNaN(parsed)) return Math.ceil(parsed / 1000)
  throw new UsageError(
    `--${name} is neither a length of time such as 1h nor a time such as 2026-01-31T12:00:00Z`,
  )
}

async function filterOf({ store, clock }: Base, options: Filters): Promise<AuditFilter> {
  const filter: { -readonly [K in keyof AuditFilter]: AuditFilter[K] } = {}
  const now = clock.now()
  if (options.since !== undefined) filter.since = moment('since', options.since, now)
  if (options.until !== undefined) filter.until = moment('until', options.until, now)
  if (options.event !== undefined) filter.event = options.event
  if (options.user !== undefined) {
    const name = normalizeUsername(options.user)
    const user = name === null ? null : await store.users.findByUsername(name)
    filter.userId = user?.id ?? options.user
    if (!user) await assertKnown({ userId: options.user }, `user ${options.user}`)
  }
  if (options.client !== undefined) {
    filter.clientId = options.client
    if (!(await store.clients.find(options.client))) {
      await assertKnown({ clientId: options.client }, `client ${options.client}`)
    }
  }
  return filter

  /** An empty answer to a name that was mistyped would look like good news. */
  async function assertKnown(about: AuditFilter, what: string): Promise<void> {
    if ((await store.auditRows.find(about, 1)).length > 0) return
    throw new CommandError(`there is no ${what}, and the log has nothing about one`)
  }
}

function list(context: Context, options: Filters): Promise<void> {
  return context.withStore(async (base) => {
    const found = await base.store.auditRows.find(await filterOf(base, options), options.limit + 1)
    if (base.config.auditRetention === null) {
      context.note('KEYTURN_AUDIT_RETENTION is off: events are in the log of the server alone')
    }
    if (found.length > options.limit)
      context.note(`only the newest ${options.limit} are shown: --limit shows more`)
    const rows = found.slice(0, options.limit).reverse()
    const names = await usernames(base, rows)
    const values = rows.map((row) => describe(row, names))
    const text = table(
      ['SEQ', 'TIME', 'EVENT', 'ACTOR', 'USER', 'CLIENT', 'COUNT', 'DETAILS'],
      values.map((value) => [
        value.seq,
        time(value.at),
        value.event,
        value.actor,
        value.username ?? value.sub,
        value.client_id,
        value.count === 1 ? '' : value.count,
        details(value),
      ]),
    )
    context.print(options, values, text)
  })
}

async function usernames({ store }: Base, rows: readonly AuditRow[]): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>()
  for (const sub of new Set(rows.map((row) => row.sub))) {
    const user = sub === null ? null : await store.users.find(sub)
    if (user) names.set(user.id, user.username)
  }
  return names
}

function describe(row: AuditRow, names: ReadonlyMap<string, string>) {
  return {
    seq: row.seq,
    since: row.since,
    at: row.at,
    event: row.event,
    count: row.count,
    actor: row.actor,
    sub: row.sub,
    username: names.get(row.sub ?? '') ?? null,
    client_id: row.clientId,
    fields: fieldsOf(row),
    hash: row.hash,
  }
}

/** Somebody may have changed them; that is no reason to show none of the others. */
function fieldsOf(row: AuditRow): Record<string, unknown> {
  try {
    return JSON.parse(row.fields) as Record<string, unknown>
  } catch {
    return { unreadable: row.fields }
  }
}

function details({ count, since, fields }: ReturnType<typeof describe>): string {
  const all = { ...(count === 1 ? {} : { since: time(since) }), ...fields }
  return Object.entries(all)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
}

function verify(context: Context, options: Json & { anchor?: Anchor }): Promise<void> {
  return context.withStore(async ({ config, store }) => {
    const keys = await auditKeys(config, store)()
    const verdict = await verifyLog({
      rows: store.auditRows,
      keys,
      hasRing: (await store.revisions.read()).ring > 0,
      ...(options.anchor ? { anchor: options.anchor } : {}),
    })
    const { rows, head, findings } = verdict
    if (!keys && verdict.signed === false)
      throw new CommandError('the master key is missing: its signature cannot be checked')
    const value = {
      intact: findings.length === 0,
      rows,
      head,
      pruned_to: verdict.prunedTo,
      signed: verdict.signed,
      findings,
    }
    const summary = `${count(rows, 'row')}${head === null ? '' : `, the last is ${head}`}`
    const lines = findings.length === 0 ? [`intact: ${summary}`] : [...findings, `not intact: ${summary}`]
    if (verdict.signed === null && rows > 0)
      context.note('nobody has made a master key yet, so the log is not signed')
    context.print(options, value, lines.join('\n'))
    if (findings.length > 0) throw new AlreadyReported()
  })
}
