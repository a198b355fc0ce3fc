/** Metrics whose values are read from other parts at each scrape. */
import { setTimeout } from 'node:timers/promises'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { ConcurrencyLimiter } from '../accounts/concurrency-limiter.ts'
import type { AuditLog } from '../audit/log.ts'
import { behind } from '../keys/known-verifiers.ts'
import type { LiveRing } from '../keys/live-ring.ts'
import { isPublished, lanesOf, nextChange, type RingPolicy } from '../keys/ring.ts'
import type { StatusListSigner } from '../status/status-list-signer.ts'
import type { LogoutOutboxStore } from '../store/contracts/logout-outbox.ts'
import type { VerifierStore } from '../store/contracts/verifiers.ts'
import type { Db } from '../store/db.ts'
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

/** A store that does not respond must not delay all other metrics: Prometheus waits ten seconds by default. */
const STORE_TIMEOUT_MS = 1000

/** Resolves with `fallback` if `work` fails or takes too long. */
async function withTimeout<T, O>(work: Promise<T>, fallback: O): Promise<T | O> {
  const answered = new AbortController()
  try {
    return await Promise.race([work, setTimeout(STORE_TIMEOUT_MS, fallback, { signal: answered.signal })])
  } catch {
    return fallback
  } finally {
    answered.abort()
  }
}

export function observeSources(sources: Sources, registers: Registry[]): void {
  const { store, policy, clock, hashingLimiter, audit, statusLists, readiness } = sources
  const ring = () => sources.ring.ring()
  type Value = number | null

  /** If the value is null, the gauge is left out, because an old value would look current. */
  function gauge(name: string, help: string, value: () => Value | Promise<Value>): void {
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        const current = await value()
        this.remove()
        if (typeof current === 'number') this.set(current)
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
        const current = await values()
        this.reset()
        for (const [state, count] of Object.entries(current ?? {})) this.set({ state }, count)
      },
    })
  }
  /** A count that another part has kept since the process started. */
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

  gauge('keyturn_ready', '1 if this node is ready for requests, otherwise 0.', async () =>
    Number((await withTimeout(readiness(), 'no answer in time')) === null),
  )

  gauge(
    'keyturn_ring_version',
    'The version of the key ring, which grows with every change.',
    () => ring().version,
  )
  gauge(
    'keyturn_ring_published_keys',
    'Keys in the JWKS.',
    () => ring().keys.filter((key) => isPublished(key)).length,
  )
  new Gauge({
    name: 'keyturn_ring_active_age_seconds',
    help: 'How long the active key of a lane has been signing.',
    labelNames: ['alg'],
    registers,
    collect() {
      this.reset()
      for (const { alg, active } of lanesOf(ring())) {
        // The first key of a new lane may not sign yet.
        this.set({ alg }, Math.max(0, clock.now() - (active.signsFrom ?? ring().createdAt)))
      }
    },
  })
  gauge(
    'keyturn_ring_next_change_seconds',
    'Time until the next scheduled change of the JWKS; negative if it is overdue.',
    () => {
      const change = nextChange(ring(), policy)
      return change === null ? null : change - clock.now()
    },
  )
  gaugeByState('keyturn_verifiers', 'Expected verifiers, by whether they have the next key.', () =>
    withTimeout(verifiers(), null),
  )
  async function verifiers() {
    const now = clock.now()
    const all = await store.verifiers.list(now - policy.verifierCache)
    const behindNext = await behind({ list: async () => all }, ring(), now, policy.verifierCache)
    const expected = all.filter((verifier) => verifier.expected).length
    return { behind: behindNext.length, current: expected - behindNext.length }
  }

  gauge(
    'keyturn_password_hashes_running',
    'Password hashes that are being computed.',
    () => hashingLimiter.state().running,
  )
  gauge(
    'keyturn_password_hashes_waiting',
    'Password hashes that wait in the queue.',
    () => hashingLimiter.state().waiting,
  )
  counter(
    'keyturn_password_hashes_refused_total',
    'Password hashes that were refused because the queue was full.',
    () => hashingLimiter.state().refused,
  )

  gauge(
    'keyturn_status_lists',
    'Signed status lists in the memory of this node.',
    () => statusLists.state().lists,
  )
  gauge(
    'keyturn_status_list_bytes',
    'Total size of the signed status lists, uncompressed.',
    () => statusLists.state().bytes,
  )
  gauge('keyturn_logout_outbox_waiting', 'Logout tokens that are still to be delivered.', () =>
    withTimeout(store.logoutOutbox.count(), null),
  )

  gauge(
    'keyturn_audit_rows_waiting',
    'Rows of the audit log that are still to be written to the store.',
    () => audit.state().waiting,
  )
  counter('keyturn_audit_rows_total', 'Rows of the audit log that were written.', () => audit.state().written)
  counter(
    'keyturn_audit_dropped_total',
    'Audit events that were dropped and are only in the server log.',
    () => audit.state().dropped,
  )

  const pool = store.db.pool
  if (!pool) return
  gaugeByState('keyturn_store_connections', 'Connections to PostgreSQL.', () => {
    const { idle, busy } = pool()
    return { idle, busy }
  })
  gauge(
    'keyturn_store_connections_max',
    'The maximum number of connections (KEYTURN_DATABASE_POOL).',
    () => pool().max,
  )
  gauge(
    'keyturn_store_connections_waiting',
    'Statements and transactions that wait for a connection.',
    () => pool().waiting,
  )
  gauge(
    'keyturn_store_listening',
    '1 if the node receives notifications about changes by other nodes.',
    () => (pool().listening ? 1 : 0),
  )
}
