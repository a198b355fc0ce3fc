/** What stands between the store and its engine hands everything on, also what only one engine uses. */
import { Registry } from 'prom-client'
import t from 'tap'
import { timeStore } from '../../src/metrics/time-store.ts'
import type { Db, Step } from '../../src/store/db.ts'
import { type MonitoredDb, monitorDb } from '../../src/store/monitored-db.ts'
import type { Spans } from '../../src/tracing/spans.ts'
import { traceStore } from '../../src/tracing/trace-store.ts'

const spans = (active: boolean) =>
  ({
    isActive: () => active,
    child: (_name: string, _options: unknown, work: () => unknown) => work(),
  }) as unknown as Spans

const wrappers: Record<string, (db: MonitoredDb) => Db> = {
  'the monitor': (db) => monitorDb(db),
  'the measurement': (db) => timeStore(db, [new Registry()]),
  'the tracing of a request': (db) => traceStore(db, spans(true), 'sqlite'),
  'the tracing between requests': (db) => traceStore(db, spans(false), 'sqlite'),
}

for (const [name, wrap] of Object.entries(wrappers)) {
  t.test(`${name} hands on every argument of a query and of a batch`, async (t) => {
    const received: unknown[][] = []
    const engine = {
      async query(...query: unknown[]) {
        received.push(query)
        return []
      },
      async batch(...batch: unknown[]) {
        received.push(batch)
        return true
      },
    } as unknown as MonitoredDb
    const db = wrap(engine)
    const step: Step = { sql: 'UPDATE t SET a = $1', params: ['x'], row: { table: 't', key: 'a' } }
    await db.query('SELECT a FROM t WHERE a IN ($1)', ['x'], 'a')
    await db.batch([step], { noTimeout: true })
    t.same(received, [
      ['SELECT a FROM t WHERE a IN ($1)', ['x'], 'a'],
      [[step], { noTimeout: true }],
    ])
  })
}
