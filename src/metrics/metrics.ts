/**
 * What a serving node counts and measures, as Prometheus reads it. Owns every name and label; must not know HTTP, and
 * decides nothing. A label's values come from a closed list: nothing that was sent to us ever becomes one, so the number
 * of series is bounded by the code. A new metric is a few lines here or in a file beside this one, and a row in
 * docs/metrics.md.
 */
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Audit } from '../audit/events.ts'
import type { MonitoredDb } from '../store/monitored-db.ts'
import { version } from '../version.ts'
import { countAudit } from './count-audit.ts'
import { observeSources, type Sources } from './sources.ts'
import { timeStore } from './time-store.ts'

/** In seconds. What comes from memory is at the lower end; a hash, and a store in trouble, at the upper. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** A request that was answered. */
interface Answered {
  /** The route's pattern below the issuer, or `other`; never the path. */
  readonly endpoint: string
  /** As routes have it, or `other`. */
  readonly method: string
  readonly statusCode: number
  readonly seconds: number
}

export interface Metrics {
  readonly contentType: string
  /** All there is. Never throws; waits a second at most for what the store is asked for. */
  text(): Promise<string>
  answered(request: Answered): void
  /** The same trail, counted. */
  countAudit(audit: Audit): Audit
  /** The same store, timed. */
  timeStore(db: MonitoredDb): MonitoredDb
  /** Asked when somebody reads the metrics; costs nothing until then. */
  observe(sources: Sources): void
}

export interface MetricsOptions {
  /** Also what the process itself uses; for one server a process. */
  readonly ofProcess?: boolean
}

export function createMetrics({ ofProcess = false }: MetricsOptions = {}): Metrics {
  const register = new Registry()
  const registers = [register]
  if (ofProcess) collectDefaultMetrics({ register })
  new Gauge({
    name: 'keyturn_info',
    help: 'The version that serves.',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1)
  const requests = new Histogram({
    name: 'keyturn_http_request_duration_seconds',
    help: 'From a request’s headers to the end of its answer.',
    labelNames: ['endpoint', 'method', 'status'],
    buckets: BUCKETS,
    registers,
  })

  return {
    contentType: register.contentType,
    text: () => register.metrics(),
    answered({ endpoint, method, statusCode, seconds }) {
      requests.observe({ endpoint, method, status: `${Math.floor(statusCode / 100)}xx` }, seconds)
    },
    countAudit: (audit) => countAudit(audit, registers),
    timeStore: (db) => timeStore(db, registers),
    observe: (sources) => observeSources(sources, registers),
  }
}
