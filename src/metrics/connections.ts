/** Metrics of the connections of the server. */
import { Counter, Gauge, type Registry } from 'prom-client'

export interface ConnectionCounts {
  readonly open: number
  /** Connections and unfinished requests that had to make room for others, or were refused, since the start. */
  readonly refused: number
}

export function observeConnections(counts: () => ConnectionCounts, registers: Registry[]): void {
  new Gauge({
    name: 'keyturn_http_connections',
    help: 'Open connections.',
    registers,
    collect() {
      this.set(counts().open)
    },
  })
  new Counter({
    name: 'keyturn_http_connections_refused_total',
    help: 'Connections that were closed or refused because there were too many.',
    registers,
    collect() {
      this.reset()
      this.inc(counts().refused)
    },
  })
}
