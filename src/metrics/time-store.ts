/** Measures calls to the store, including the wait for a lock, a connection or a group commit. */
import { Counter, Histogram, type Registry } from 'prom-client'
import { ConstraintViolation, StoreDamaged, StoreUnavailable } from '../store/db.ts'
import type { MonitoredDb } from '../store/monitored-db.ts'

const BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]

const VERBS = ['query', 'batch'] as const
const KINDS = ['unavailable', 'damaged', 'constraint', 'other'] as const

function kindOf(error: unknown): (typeof KINDS)[number] {
  if (error instanceof StoreDamaged) return 'damaged'
  if (error instanceof StoreUnavailable) return 'unavailable'
  return error instanceof ConstraintViolation ? 'constraint' : 'other'
}

export function timeStore(db: MonitoredDb, registers: Registry[]): MonitoredDb {
  const durations = new Histogram({
    name: 'keyturn_store_duration_seconds',
    help: 'Duration of calls to the store.',
    labelNames: ['verb'],
    buckets: BUCKETS,
    registers,
  })
  const failures = new Counter({
    name: 'keyturn_store_failures_total',
    help: 'Calls to the store that failed.',
    labelNames: ['verb', 'kind'],
    registers,
  })
  for (const verb of VERBS) {
    durations.zero({ verb })
    for (const kind of KINDS) failures.inc({ verb, kind }, 0)
  }

  async function timed<T>(verb: (typeof VERBS)[number], work: () => Promise<T>): Promise<T> {
    const start = performance.now()
    try {
      return await work()
    } catch (error) {
      failures.inc({ verb, kind: kindOf(error) })
      throw error
    } finally {
      durations.observe({ verb }, (performance.now() - start) / 1000)
    }
  }

  return {
    ...db,
    query: (...query) => timed('query', () => db.query<never>(...query)),
    batch: (steps, options) => timed('batch', () => db.batch(steps, options)),
  }
}
