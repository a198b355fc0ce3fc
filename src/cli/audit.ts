import { InvalidArgumentError } from 'commander'
import type { Anchor } from '../audit/anchor.ts'
import { AUDIT_EVENTS } from '../audit/events.ts'
import { type VerifyResult, verifyLog } from '../audit/verify.ts'
import { auditKeys } from '../keys/audit-keys.ts'
import type { Base } from '../node/base.ts'
import type { AuditRow } from '../store/contracts/audit.ts'
import { findRemains } from '../store/remains.ts'
import { createFilter, type Filters, noteZones } from './audit-filter.ts'
import {
  AlreadyReported,
  action,
  CommandError,
  type CommandFactory,
  type Context,
  examples,
  type Json,
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
            .action((options: Json & { anchor?: Anchor }) => verify(context, options)),
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

function anchorOption(value: string): Anchor {
  const [, seq, hash] = /^(\d{1,15}):([\w-]{43})$/.exec(value) ?? []
  if (seq === undefined || hash === undefined) throw new InvalidArgumentError('It must be <seq>:<hash>.')
  return { seq: Number(seq), hash }
}

function list(context: Context, options: Filters): Promise<void> {
  noteZones(context, options)
  return context.withStore(async (base) => {
    const newest = await base.store.auditRows.find(await createFilter(base, options), options.limit + 1)
    if (base.config.auditRetention === null) {
      context.note('KEYTURN_AUDIT_RETENTION is off: events are only in the server log')
    }
    if (newest.length > options.limit)
      context.note(`only the newest ${options.limit} events are shown; see --limit`)
    const rows = newest.slice(0, options.limit).reverse()
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

/** Someone may have changed the row; the other rows are still shown. */
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
  return context.withStore(async (base) => {
    const verdict = await inspect(base, options.anchor)
    const { rows, head, findings } = verdict
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
      context.note('the store has no key ring yet, so the log is not signed')
    context.print(options, value, lines.join('\n'))
    if (findings.length > 0) throw new AlreadyReported()
  })
}

async function inspect({ config, store, record }: Base, anchor?: Anchor): Promise<VerifyResult> {
  // The record is read before the log, because a server may continue to write the log.
  const kept = record.recorded()?.audit
  const keys = await auditKeys(config, store)()
  const verdict = await verifyLog({
    rows: store.auditRows,
    keys,
    hasRing: (await store.revisions.read()).ring > 0,
    remains: await findRemains(store),
    ...(anchor ? { anchor } : {}),
    ...(kept ? { kept: { anchor: kept, file: `${record.file}` } } : {}),
  })
  if (!keys && verdict.signed === false)
    throw new CommandError('the master key is missing, so the signature of the log cannot be checked')
  return verdict
}

/** The findings about rows stay until the rows are pruned: no acceptance can tell what was in them. */
function accept(context: Context, options: Json & { reason: string }): Promise<void> {
  return context.withStore(async (base) => {
    const { findings } = await inspect(base)
    if (findings.length === 0) throw new CommandError('the audit log is intact: there is nothing to accept')
    const kept = base.record.read()
    await base.acceptAudit({
      actor: context.actor,
      reason: options.reason,
      ...(kept ? { target: `${kept.seq}:${kept.hash}` } : {}),
    })
    await base.auditLog.keepAnchor()
    const { findings: left, head } = await inspect(base)
    const lines = [
      ...findings.map((finding) => `accepted: ${finding}`),
      ...left.map((finding) => `stays until the rows are pruned: ${finding}`),
      `The log continues after ${head}.`,
    ]
    context.print(options, { accepted: findings, left, head }, lines.join('\n'))
  })
}
