/**
 * The metrics of a node, in the format of Prometheus. Owns every name and label. Must not know HTTP, or decide anything. Label
 * values come from closed lists and never from a request, so the code bounds the number of series. A new metric is a few lines in
 * this folder and a row in docs/metrics.md.
 */
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Audit } from '../audit/events.ts'
import type { MonitoredDb } from '../store/monitored-db.ts'
import { version } from '../version.ts'
import { type ConnectionCounts, observeConnections } from './connections.ts'
import { countAudit } from './count-audit.ts'
import { observeSources, type Sources } from './sources.ts'
import { timeStore } from './time-store.ts'

/** Seconds. Responses from memory are at the lower end; password hashes and a slow store at the upper end. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** A request with a response. */
interface AnsweredRequest {
  /** The route's pattern below the issuer, or `other`; never the path. */
  readonly endpoint: string
  /** A method that has a route, or `other`. */
  readonly method: string
  readonly statusCode: number
  readonly seconds: number
}

export interface Metrics {
  readonly contentType: string
  /** All metrics. Never throws, and waits at most a second for the store. */
  text(): Promise<string>
  answered(request: AnsweredRequest): void
  /** Returns an `Audit` that also counts events. */
  countAudit(audit: Audit): Audit
  /** Returns a `MonitoredDb` that also measures durations. */
  timeStore(db: MonitoredDb): MonitoredDb
  /** Registers the parts whose state is read at each scrape. */
  observe(sources: Sources): void
  /** Registers the connections of the server, which are counted at each scrape. */
  observeConnections(counts: () => ConnectionCounts): void
}

export interface MetricsOptions {
  /** Adds metrics of the process, such as memory and CPU. Only useful if the process has one server. */
  readonly processMetrics?: boolean
}

export function createMetrics({ processMetrics = false }: MetricsOptions = {}): Metrics {
  const register = new Registry()
  const registers = [register]
  if (processMetrics) collectDefaultMetrics({ register })
  new Gauge({
    name: 'keyturn_info',
    help: 'The version of Keyturn.',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1)
  const requests = new Histogram({
    name: 'keyturn_http_request_duration_seconds',
    help: 'Time from the headers of a request to the end of its response.',
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
    observeConnections: (counts) => observeConnections(counts, registers),
  }
}
