/** Gauges whose values are read from other parts, at the time of a scrape. */
import { setTimeout } from 'node:timers/promises'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { ConcurrencyLimiter } from '../accounts/concurrency-limiter.ts'
import type { AuditLog } from '../audit/log.ts'
import { behind } from '../keys/known-verifiers.ts'
import type { LiveRing } from '../keys/live-ring.ts'
import { activeKey, isPublished, nextChange, type RingPolicy } from '../keys/ring.ts'
import type { StatusListSigner } from '../status/status-list-signer.ts'
import type { LogoutOutboxStore } from '../store/contracts/logout-outbox.ts'
import type { VerifierStore } from '../store/contracts/verifiers.ts'
import type { Db } from '../store/db.ts'
import { RETENTION } from '../store/retention.ts'
import type { Clock } from '../system.ts'

export interface Sources {
  readonly store: {
    readonly db: Pick<Db, 'pool'>
    readonly verifiers: Pick<VerifierStore, 'list'>
    readonly logoutOutbox: Pick<LogoutOutboxStore, 'count'>
  }
  readonly ring: Pick<LiveRing, 'ring'>
  readonly policy: RingPolicy
  readonly clock: Clock
  readonly hashingLimiter: Pick<ConcurrencyLimiter, 'state'>
  readonly audit: Pick<AuditLog, 'state'>
  readonly statusLists: Pick<StatusListSigner, 'state'>
  readonly readiness: () => Promise<string | null>
}

/** A store that does not answer must not hold up all other metrics; scrapers wait ten seconds or less. */
const STORE_TIMEOUT_MS = 1000

/** `otherwise` if there is no answer in time. */
async function inTime<T, O>(work: Promise<T>, otherwise: O): Promise<T | O> {
  const answered = new AbortController()
  try {
    return await Promise.race([work, setTimeout(STORE_TIMEOUT_MS, otherwise, { signal: answered.signal })])
  } catch {
    return otherwise
  } finally {
    answered.abort()
  }
}

export function observeSources(sources: Sources, registers: Registry[]): void {
  const { store, policy, clock, hashingLimiter, audit, statusLists, readiness } = sources
  const ring = () => sources.ring.ring()
  type Value = number | null

  /** A gauge without a value is left out, because an old number would be taken for a new one. */
  function gauge(name: string, help: string, value: () => Value | Promise<Value>): void {
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        const now = await value()
        this.remove()
        if (typeof now === 'number') this.set(now)
      },
    })
  }

  function gaugeByState(name: string, help: string, values: () => States | Promise<States>): void {
    new Gauge({
      name,
      help,
      labelNames: ['state'],
      registers,
      async collect() {
        const now = await values()
        this.reset()
        for (const [state, count] of Object.entries(now ?? {})) this.set({ state }, count)
      },
    })
  }
  /** The count of another part, since the start. */
  function counter(name: string, help: string, value: () => number): void {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(value())
      },
    })
  }
  type States = Readonly<Record<string, number>> | null

  gauge('keyturn_ready', 'Whether this node should get requests: 1 or 0.', async () =>
    Number((await inTime(readiness(), 'no answer in time')) === null),
  )

  gauge('keyturn_ring_version', 'Grows with every change of the key ring.', () => ring().version)
  gauge(
    'keyturn_ring_published_keys',
    'Keys in the JWKS.',
    () => ring().keys.filter((key) => isPublished(key)).length,
  )
  gauge('keyturn_ring_active_age_seconds', 'How long the active key has signed.', () => {
    const { signsFrom } = activeKey(ring())
    return clock.now() - (signsFrom ?? ring().createdAt)
  })
  gauge('keyturn_ring_next_change_seconds', 'To the next change of the JWKS that is foreseen.', () => {
    const change = nextChange(ring(), policy)
    return change === null ? null : change - clock.now()
  })
  gaugeByState('keyturn_verifiers', 'Known verifiers, by whether they hold the next key.', () =>
    inTime(verifiers(), null),
  )
  async function verifiers() {
    const now = clock.now()
    const known = await store.verifiers.list(now - RETENTION.verifiers.seconds)
    const late = await behind({ list: async () => known }, ring(), now)
    return { behind: late.length, current: known.length - late.length }
  }

  gauge('keyturn_password_hashes_running', 'argon2 at work.', () => hashingLimiter.state().running)
  gauge('keyturn_password_hashes_waiting', 'Waiting for their turn.', () => hashingLimiter.state().waiting)
  counter(
    'keyturn_password_hashes_refused_total',
    'Turned away because too many waited.',
    () => hashingLimiter.state().refused,
  )

  gauge('keyturn_status_lists', 'Status lists that this node holds signed.', () => statusLists.state().lists)
  gauge('keyturn_status_list_bytes', 'Their size together, as served.', () => statusLists.state().bytes)
  gauge('keyturn_logout_outbox_waiting', 'Clients still to be told that a session has ended.', () =>
    inTime(store.logoutOutbox.count(), null),
  )

  gauge(
    'keyturn_audit_rows_waiting',
    'Rows that are still to be written to the store.',
    () => audit.state().waiting,
  )
  counter('keyturn_audit_rows_total', 'Rows of the audit log that were written.', () => audit.state().written)
  counter(
    'keyturn_audit_dropped_total',
    'Events that the store will never have.',
    () => audit.state().dropped,
  )

  const pool = store.db.pool
  if (!pool) return
  gaugeByState('keyturn_store_connections', 'Connections to PostgreSQL.', () => {
    const { idle, busy } = pool()
    return { idle, busy }
  })
  gauge('keyturn_store_connections_max', 'As KEYTURN_DATABASE_POOL says.', () => pool().max)
  gauge('keyturn_store_connections_waiting', 'Requests that wait for one.', () => pool().waiting)
  gauge('keyturn_store_listening', '1 if changes of other nodes are heard of at once.', () =>
    pool().listening ? 1 : 0,
  )
}
