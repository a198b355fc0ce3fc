/**
 * Keeps the audit log from growing with traffic. Of what anybody can cause, the first times are rows of their own with all
 * there is to say; what is beyond the budget becomes one row with its count. Nothing is left out: the counts of all rows
 * together are the number of events. Must not know where rows go.
 */
import type { EpochSeconds, Seconds } from '../system.ts'
import type { Happened } from './chain.ts'
import type { AuditEvent, AuditFields } from './events.ts'

/** All else is rare, or the act of somebody who has signed in, and is never folded. */
export const FREQUENT: ReadonlySet<AuditEvent> = new Set([
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
  'logout_token.delivered',
  'logout_token.failed',
  'client.authentication_failed',
] as const)

interface Budget {
  readonly burst: number
  readonly interval: Seconds
}

/** Rows of their own, of the same kind, and of all kinds together. */
const OF_A_KIND: Budget = { burst: 20, interval: 300 }
const TOGETHER: Budget = { burst: 500, interval: 2 }
/** How long a row that stands for several waits for more of them. */
const WINDOW: Seconds = 60
/** Such rows in a window; beyond that, one an event. */
const MAX_KINDS = 64
/** Kinds whose spending is remembered. */
const MAX_REMEMBERED = 10_000

/** What makes two events of one kind: what comes from closed lists. Never who sent it from where, or for whom. */
const KIND = ['client_id', 'grant_type', 'action', 'reason', 'detail'] as const

export interface Aggregation {
  /** True if it is to be a row of its own; otherwise it has been counted. */
  keeps(event: AuditEvent, fields: AuditFields, now: EpochSeconds): boolean
  /** The rows whose window has ended, or all. */
  take(now: EpochSeconds, all: boolean): Happened[]
}

export function createAggregation(): Aggregation {
  const spent = new Map<string, EpochSeconds>()
  const open = new Map<string, { -readonly [K in keyof Happened]: Happened[K] }>()

  /** GCRA, as in the rate limiter: the time at which the budget will be whole again. */
  function afterOne(key: string, { burst, interval }: Budget, now: EpochSeconds): EpochSeconds | null {
    const whole = Math.max(spent.get(key) ?? 0, now) + interval
    return whole - now > burst * interval ? null : whole
  }

  function spend(kind: string, now: EpochSeconds): boolean {
    if (!spent.has(kind) && spent.size >= MAX_REMEMBERED) return false
    const ofKind = afterOne(kind, OF_A_KIND, now)
    const together = ofKind === null ? null : afterOne('', TOGETHER, now)
    if (ofKind === null || together === null) return false
    spent.set(kind, ofKind).set('', together)
    return true
  }

  function fold(kind: string, event: AuditEvent, fields: AuditFields, now: EpochSeconds): void {
    const crowded = !open.has(kind) && open.size >= MAX_KINDS
    const key = crowded ? event : kind
    const row = open.get(key)
    if (row) {
      row.count += 1
      row.at = now
    } else {
      open.set(key, { event, fields: crowded ? {} : ofKind(fields), since: now, at: now, count: 1 })
    }
  }

  return {
    keeps(event, fields, now) {
      if (!FREQUENT.has(event)) return true
      const kind = [event, ...KIND.map((name) => fields[name] ?? '')].join('\n')
      if (spend(kind, now)) return true
      fold(kind, event, fields, now)
      return false
    },

    take(now, all) {
      const taken: Happened[] = []
      for (const [kind, row] of open) {
        // A clock that was set back must not make them wait for ever.
        if (!all && now >= row.since && now - row.since < WINDOW) continue
        open.delete(kind)
        taken.push(row)
      }
      if (taken.length > 0) for (const [kind, whole] of spent) if (whole <= now) spent.delete(kind)
      return taken
    },
  }
}

function ofKind(fields: AuditFields): AuditFields {
  return Object.fromEntries(
    KIND.map((name) => [name, fields[name]]).filter(([, value]) => value !== undefined),
  )
}
