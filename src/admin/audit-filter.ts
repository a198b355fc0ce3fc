/** Which events of the audit log are wanted. An empty list must mean that nothing has happened, so mistyped filters are refused. */
import { normalizeUsername } from '../accounts/username.ts'
import { AUDIT_EVENTS } from '../audit/events.ts'
import { duration, isDurationText } from '../config/parsers.ts'
import type { AuditFilter } from '../store/contracts/audit.ts'
import type { EpochSeconds } from '../system.ts'
import type { AuditFiltersView } from './audit.schema.ts'
import type { LocalDeps } from './deps.ts'
import { invalidValue, notFound } from './errors.ts'
import { parseMoment } from './moment.ts'

const parseAge = duration('1s', '36500d')
const SECONDS = /^\d{9,11}$/

/** Parses a duration before now, a date and time, or seconds since 1970. Throws an Error whose message completes "since …". */
export function parseTime(value: string, now: EpochSeconds): EpochSeconds {
  if (isDurationText(value)) return now - parseAge(value)
  if (SECONDS.test(value)) return Number(value)
  const moment = parseMoment(value)
  if (moment) return moment.at
  throw new Error('must be a duration such as 1h or a time such as 2026-01-31T12:00:00Z')
}

function timeOf(field: 'since' | 'until', value: string, now: EpochSeconds): EpochSeconds {
  try {
    return parseTime(value, now)
  } catch (error) {
    throw invalidValue(field, `${field} ${(error as Error).message}`, error)
  }
}

type Deps = Pick<LocalDeps, 'store' | 'clock'>

/** @throws {AdminError} invalid-value; not-found, if no user or client of the name is known */
export async function createFilter({ store, clock }: Deps, wanted: AuditFiltersView): Promise<AuditFilter> {
  const filter: { -readonly [K in keyof AuditFilter]: AuditFilter[K] } = {}
  const now = clock.now()
  const { since, until, event, user: named, client } = wanted
  if (since !== undefined) filter.since = timeOf('since', since, now)
  if (until !== undefined) filter.until = timeOf('until', until, now)
  if (event !== undefined) {
    if (!(AUDIT_EVENTS as readonly string[]).includes(event))
      throw invalidValue('event', `there is no event ${event}`)
    filter.event = event
  }
  if (named !== undefined) {
    const name = normalizeUsername(named)
    const user = name === null ? null : await store.users.findByUsername(name)
    filter.userId = user?.id ?? named
    if (!user) await assertKnown({ userId: named }, `user ${named}`)
  }
  if (client !== undefined) {
    filter.clientId = client
    if (!(await store.clients.find(client))) await assertKnown({ clientId: client }, `client ${client}`)
  }
  return filter

  /** An empty result for a mistyped name would look as if nothing had happened. */
  async function assertKnown(subjectFilter: AuditFilter, subject: string): Promise<void> {
    if ((await store.auditRows.find(subjectFilter, 1)).length > 0) return
    throw notFound(`there is no ${subject}, and the audit log has no events for that id`)
  }
}
