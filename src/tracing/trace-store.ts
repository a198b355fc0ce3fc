/** A span for every query and every batch. Statements contain no values, and parameters are not read. */
import { LRUCache } from 'lru-cache'
import { ConstraintViolation, type Step } from '../store/db.ts'
import type { MonitoredDb } from '../store/monitored-db.ts'
import { SpanKind, type SpanOptions, type Spans } from './spans.ts'

interface Statement {
  readonly verb: string
  readonly table: string
}

/** The limit is higher than the number of Keyturn's statements. Some statements have one form for each number of parameters. */
const MAX_KNOWN = 1000
/** Statements in the name of a batch. */
const MAX_NAMED = 3

export function describeSql(sql: string): Statement {
  const verb = /^\s*(\w+)/.exec(sql)?.[1]?.toUpperCase() ?? 'QUERY'
  const table = /\b(?:FROM|INTO|UPDATE)\s+([a-z_]+)/i.exec(sql)?.[1] ?? ''
  return { verb, table }
}

export function traceStore(db: MonitoredDb, spans: Spans, system: string): MonitoredDb {
  const known = new LRUCache<string, Statement>({ max: MAX_KNOWN })

  function parse(sql: string): Statement {
    const found = known.get(sql)
    if (found) return found
    const described = describeSql(sql)
    known.set(sql, described)
    return described
  }

  const nameOf = ({ verb, table }: Statement): string => (table === '' ? verb : `${verb} ${table}`)

  function options({ verb, table }: Statement, size = 1): SpanOptions {
    return {
      kind: SpanKind.CLIENT,
      attributes: {
        'db.system.name': system,
        'db.operation.name': size > 1 ? 'BATCH' : verb,
        ...(table === '' ? {} : { 'db.collection.name': table }),
        ...(size > 1 ? { 'db.operation.batch.size': size } : {}),
      },
    }
  }

  function batchName(steps: readonly Step[]): string {
    const names = [...new Set(steps.map(({ sql }) => nameOf(parse(sql))))]
    return names.slice(0, MAX_NAMED).join('; ') + (names.length > MAX_NAMED ? '; …' : '')
  }

  return {
    ...db,
    query(...query) {
      if (!spans.isActive()) return db.query(...query)
      const statement = parse(query[0])
      return spans.child(nameOf(statement), options(statement), () => db.query<never>(...query))
    },
    async batch(steps, more) {
      const [first] = steps
      if (!first || !spans.isActive()) return db.batch(steps, more)
      const conflict: { key?: ConstraintViolation } = {}
      const done = await spans.child(batchName(steps), options(parse(first.sql), steps.length), () =>
        db.batch(steps, more).catch((error) => {
          // Another writer was first, which is part of normal work and not a failure of the store.
          if (!(error instanceof ConstraintViolation)) throw error
          conflict.key = error
          return false
        }),
      )
      if (conflict.key) throw conflict.key
      return done
    },
  }
}
