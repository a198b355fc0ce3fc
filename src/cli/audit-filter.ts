/** Which events `audit` shows. An empty result must mean that nothing has happened, so mistyped filters are refused. */
import { normalizeUsername } from '../accounts/username.ts'
import { duration, isDurationText } from '../config/parsers.ts'
import type { Base } from '../node/base.ts'
import type { AuditFilter } from '../store/contracts/audit.ts'
import type { EpochSeconds } from '../system.ts'
import { CommandError, type Context, type Json, UsageError } from './context.ts'
import { parseMoment } from './moment.ts'
import { time } from './output.ts'

export interface Filters extends Json {
  readonly since?: string
  readonly until?: string
  readonly user?: string
  readonly client?: string
  readonly event?: string
  readonly limit: number
}

const parseAge = duration('1s', '36500d')

/** Parses a duration before now, or a date and time. */
function parseTime(name: string, value: string, now: EpochSeconds): EpochSeconds {
  if (isDurationText(value)) {
    try {
      return now - parseAge(value)
    } catch (error) {
      throw new UsageError(`--${name} ${(error as Error).message}`)
    }
  }
  const moment = parseMoment(value)
  if (moment) return moment.at
  throw new UsageError(`--${name} must be a duration such as 1h or a time such as 2026-01-31T12:00:00Z`)
}

/** Says which moment a text without a zone means, because the operator may think of the zone of the machine. */
export function noteZones(context: Context, { since, until }: Filters): void {
  for (const [name, text] of [
    ['since', since],
    ['until', until],
  ] as const) {
    const moment = text === undefined ? null : parseMoment(text)
    if (moment && !moment.hasZone)
      context.note(`--${name} is ${time(moment.at)}: a time without a zone is in UTC`)
  }
}

export async function createFilter({ store, clock }: Base, options: Filters): Promise<AuditFilter> {
  const filter: { -readonly [K in keyof AuditFilter]: AuditFilter[K] } = {}
  const now = clock.now()
  if (options.since !== undefined) filter.since = parseTime('since', options.since, now)
  if (options.until !== undefined) filter.until = parseTime('until', options.until, now)
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

  /** An empty result for a mistyped name would look as if nothing had happened. */
  async function assertKnown(subjectFilter: AuditFilter, subject: string): Promise<void> {
    if ((await store.auditRows.find(subjectFilter, 1)).length > 0) return
    throw new CommandError(`there is no ${subject}, and the audit log has no events for that id`)
  }
}
