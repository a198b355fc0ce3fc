import { InvalidArgumentError } from 'commander'
import type { Admin } from '../admin/admin.ts'
import type { AuditEventView } from '../admin/audit.schema.ts'
import { parseAnchor } from '../admin/audit.ts'
import { acceptLog } from '../admin/audit-acceptance.ts'
import { parseTime } from '../admin/audit-filter.ts'
import { parseMoment } from '../admin/moment.ts'
import { MAX_LIMIT as MAX_PAGE } from '../admin/page.ts'
import { AUDIT_EVENTS } from '../audit/events.ts'
import {
  AlreadyReported,
  action,
  type CommandFactory,
  type Context,
  examples,
  type Json,
  UsageError,
} from './context.ts'
import { count, table, time } from './output.ts'

export const auditCommand: CommandFactory = (context) =>
  examples(
    action('audit', 'show the audit log, newest event last')
      .option(
        '--since <time>',
        'only events since then: 1h, 30d or 2026-01-31T12:00:00Z; UTC unless a zone is given',
      )
      .option('--until <time>', 'only events before then')
      .option('--user <user>', 'only events about or by this user: username, or id of a deleted user')
      .option('--client <id>', 'only events about or by this client')
      .option('--event <event>', 'only events of this type', eventOption)
      .option('--limit <number>', 'show at most this many events, the newest', limitOption, DEFAULT_LIMIT)
      .action((options: Filters) => list(context, options))
      .addCommand(
        examples(
          action('verify', 'check that no row of the audit log is missing or changed; exit 1 if one is')
            .option(
              '--anchor <seq:hash>',
              'an earlier end of the log, from an audit.head line of the server log',
              anchorOption,
            )
            .action((options: Json & { anchor?: string }) => verify(context, options)),
          'audit verify',
        ),
      )
      .addCommand(
        examples(
          action('accept', 'accept the log as it is, after audit verify has reported findings')
            .requiredOption('--reason <text>', 'what happened; it is kept in the log', reasonOption)
            .action((options: Json & { reason: string }) => accept(context, options)),
          'audit accept --reason "restored the backup from Monday"',
        ),
      ),
    'audit --since 1h --user alice',
    'audit --event keys.rotated --json',
  )

const DEFAULT_LIMIT = 200
const MAX_LIMIT = 100_000

function eventOption(value: string): string {
  if ((AUDIT_EVENTS as readonly string[]).includes(value)) return value
  throw new InvalidArgumentError('See docs/operations.md for the list of events.')
}

function limitOption(value: string): number {
  const parsed = /^\d{1,6}$/.test(value) ? Number(value) : 0
  if (parsed >= 1 && parsed <= MAX_LIMIT) return parsed
  throw new InvalidArgumentError(`It must be a number from 1 to ${MAX_LIMIT}.`)
}

const MAX_REASON = 500

function reasonOption(value: string): string {
  const text = value.trim()
  if (text !== '' && text.length <= MAX_REASON) return text
  throw new InvalidArgumentError(`It must have 1 to ${MAX_REASON} characters.`)
}

function anchorOption(value: string): string {
  if (parseAnchor(value) === null) throw new InvalidArgumentError('It must be <seq>:<hash>.')
  return value
}

interface Filters extends Json {
  readonly since?: string
  readonly until?: string
  readonly user?: string
  readonly client?: string
  readonly event?: string
  readonly limit: number
}

/** Says which moment a text without a zone means, because the operator may think of the zone of the machine. */
function checkTimes(context: Context, { since, until }: Filters): void {
  for (const [name, text] of [
    ['since', since],
    ['until', until],
  ] as const) {
    if (text === undefined) continue
    try {
      parseTime(text, 0)
    } catch (error) {
      throw new UsageError(`--${name} ${(error as Error).message}`)
    }
    const moment = parseMoment(text)
    if (moment && !moment.hasZone)
      context.note(`--${name} is ${time(moment.at)}: a time without a zone is in UTC`)
  }
}

function list(context: Context, options: Filters): Promise<void> {
  checkTimes(context, options)
  return context.withAdmin(async (admin) => {
    const newest = await findNewest(context, admin, options)
    if (newest.length > options.limit)
      context.note(`only the newest ${options.limit} events are shown; see --limit`)
    const values = newest.slice(0, options.limit).reverse()
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

/** One event more than the limit, if there are more. */
async function findNewest(
  context: Context,
  { audit }: Admin,
  { json, limit, ...filters }: Filters,
): Promise<AuditEventView[]> {
  const events: AuditEventView[] = []
  for (let cursor: string | null | undefined; cursor !== null && events.length <= limit; ) {
    const most = Math.min(MAX_PAGE, limit + 1 - events.length)
    const part = await audit.list({ ...filters, limit: most, ...(cursor === undefined ? {} : { cursor }) })
    if (cursor === undefined) context.changed(part)
    events.push(...part.value.items)
    cursor = part.value.next_cursor
  }
  return events
}

function details({ count, since, fields }: AuditEventView): string {
  const all = { ...(count === 1 ? {} : { since: time(since) }), ...fields }
  return Object.entries(all)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
}

function verify(context: Context, options: Json & { anchor?: string }): Promise<void> {
  return context.withAdmin(async ({ audit }) => {
    const value = context.changed(await audit.verify(options.anchor))
    const { rows, head, findings } = value
    const summary = `${count(rows, 'row')}${head === null ? '' : `, the last is ${head}`}`
    const lines = findings.length === 0 ? [`intact: ${summary}`] : [...findings, `not intact: ${summary}`]
    context.print(options, value, lines.join('\n'))
    if (findings.length > 0) throw new AlreadyReported()
  })
}

function accept(context: Context, options: Json & { reason: string }): Promise<void> {
  return context.withStore(async (base) => {
    const value = await acceptLog(base, context.actor, options.reason)
    const lines = [
      ...value.accepted.map((finding) => `accepted: ${finding}`),
      ...value.left.map((finding) => `stays until the rows are pruned: ${finding}`),
      `The log continues after ${value.head}.`,
    ]
    context.print(options, value, lines.join('\n'))
  })
}
