/**
 * Keeps the audit log from growing with traffic. Anyone can cause the events in `AGGREGATED_EVENTS`, so each kind has a budget of
 * rows with all fields; events beyond the budget are counted in one shared row. No event is left out: the counts of all rows add
 * up to the number of events. Must not know where rows are written.
 */
import type { EpochSeconds, Seconds } from '../system.ts'
import type { AuditEntry } from './chain.ts'
import type { AuditEvent, AuditFields } from './events.ts'

/** Events that anyone can cause. Actions of administrators and of the server are never aggregated. */
export const AGGREGATED_EVENTS: ReadonlySet<AuditEvent> = new Set([
  'login.failed',
  'login.rate_limited',
  'factor.failed',
  'authorization.refused',
  'code.issued',
  'par.refused',
  'token.issued',
  'token.refused',
  'revocation.refused',
  'introspection.refused',
  'userinfo.refused',
  'administration.refused',
  'logout_token.delivered',
  'logout_token.failed',
  'client.authentication_failed',
] as const)

/** Events that a user or a client can repeat. Each actor has a budget of its own, which honest use does not reach. */
export const ACTOR_EVENTS: ReadonlySet<AuditEvent> = new Set([
  'login.succeeded',
  'factor.enrolled',
  'factor.removed',
  'factor.used',
  'user_session.started',
  'user_session.ended',
  'consent.granted',
  'consent.denied',
  'consent.withdrawn',
  'code.reuse_detected',
  'token.revoked',
  'token.reuse_detected',
  'client_session.revoked',
] as const)

const isActor = (actor: string | undefined): boolean => /^(?:user|client):/.test(actor ?? '')

export interface Budget {
  readonly burst: number
  readonly interval: Seconds
}

/** Budgets of rows with all fields. */
const BUDGET_PER_KIND: Budget = { burst: 20, interval: 300 }
export const TOTAL_BUDGET: Budget = { burst: 500, interval: 2 }
/** Rows with all fields for one event of one user or client. */
export const ACTOR_BUDGET: Budget = { burst: 1000, interval: 30 }
/** How long an aggregated row collects events before it is written. */
const WINDOW: Seconds = 60
/** Aggregated rows in a window, one for each kind. Further kinds share one row for each event name. */
export const MAX_KINDS = 64
/** At most this many kinds have a budget in memory. Events of other kinds are aggregated at once. */
const MAX_BUDGETS = 10_000
/** Budgets of users and clients in memory. The least recently used is dropped first, which is safe because strangers cannot add any. */
const MAX_ACTORS = 100_000

/**
 * Events with equal names and equal values of these fields are of one kind. Addresses and users are not among them: anyone can
 * vary those.
 */
const KIND_FIELDS = ['client_id', 'grant_type', 'action', 'reason', 'detail'] as const

export interface Aggregation {
  /** Returns true if the caller must write a row for the event; otherwise the event has been counted here. */
  admit(event: AuditEvent, fields: AuditFields, now: EpochSeconds): boolean
  /** Removes and returns the aggregated rows whose window has ended, or all of them. */
  take(now: EpochSeconds, all: boolean): AuditEntry[]
  /** Whether there are aggregated rows. */
  isOpen(): boolean
}

export function createAggregation(): Aggregation {
  const fullAt = new Map<string, EpochSeconds>()
  const actorsFullAt = new Map<string, EpochSeconds>()
  const openRows = new Map<string, { -readonly [K in keyof AuditEntry]: AuditEntry[K] }>()

  /** GCRA, as in the rate limiter. Returns when the budget will be full again; null if it is used up. */
  function fullAfterTaking(
    key: string,
    { burst, interval }: Budget,
    now: EpochSeconds,
    budgets = fullAt,
  ): EpochSeconds | null {
    const time = Math.max(budgets.get(key) ?? 0, now) + interval
    return time - now > burst * interval ? null : time
  }

  function takeFromBudget(kind: string, now: EpochSeconds): boolean {
    if (!fullAt.has(kind) && fullAt.size >= MAX_BUDGETS) return false
    const perKind = fullAfterTaking(kind, BUDGET_PER_KIND, now)
    const total = perKind === null ? null : fullAfterTaking('', TOTAL_BUDGET, now)
    if (perKind === null || total === null) return false
    fullAt.set(kind, perKind).set('', total)
    return true
  }

  function takeFromActor(key: string, now: EpochSeconds): boolean {
    const time = fullAfterTaking(key, ACTOR_BUDGET, now, actorsFullAt)
    if (time === null) return false
    actorsFullAt.delete(key)
    actorsFullAt.set(key, time)
    const [oldest] = actorsFullAt.keys()
    if (actorsFullAt.size > MAX_ACTORS && oldest !== undefined) actorsFullAt.delete(oldest)
    return true
  }

  function aggregate(kind: string, event: AuditEvent, fields: AuditFields, now: EpochSeconds): void {
    const tooManyKinds = !openRows.has(kind) && openRows.size >= MAX_KINDS
    const key = tooManyKinds ? event : kind
    const row = openRows.get(key)
    if (row) {
      row.count += 1
      row.at = now
    } else {
      openRows.set(key, {
        event,
        fields: tooManyKinds ? {} : rowFields(event, fields),
        since: now,
        at: now,
        count: 1,
      })
    }
  }

  return {
    admit(event, fields, now) {
      if (ACTOR_EVENTS.has(event) && isActor(fields.actor)) {
        const actorKind = [event, fields.actor].join('\n')
        if (takeFromActor(actorKind, now)) return true
        aggregate(actorKind, event, fields, now)
        return false
      }
      if (!AGGREGATED_EVENTS.has(event)) return true
      const kind = [event, ...KIND_FIELDS.map((name) => fields[name] ?? '')].join('\n')
      if (takeFromBudget(kind, now)) return true
      aggregate(kind, event, fields, now)
      return false
    },

    take(now, all) {
      const taken: AuditEntry[] = []
      for (const [kind, row] of openRows) {
        // If the clock was set back, the row is written now, so that it does not wait forever.
        if (!all && now >= row.since && now - row.since < WINDOW) continue
        openRows.delete(kind)
        taken.push(row)
      }
      if (taken.length > 0) for (const [kind, time] of fullAt) if (time <= now) fullAt.delete(kind)
      return taken
    },

    isOpen: () => openRows.size > 0,
  }
}

/** A row that counts events of an actor has only the actor in common with all of them. */
function rowFields(event: AuditEvent, fields: AuditFields): AuditFields {
  if (!ACTOR_EVENTS.has(event)) return kindFieldsOf(fields)
  return { ...(fields.actor === undefined ? {} : { actor: fields.actor }) }
}

function kindFieldsOf(fields: AuditFields): AuditFields {
  return Object.fromEntries(
    KIND_FIELDS.map((name) => [name, fields[name]]).filter(([, value]) => value !== undefined),
  )
}
