/** Finds the statements of the store that would read a whole table: the engines can say so without executing them. */
import type { Db } from '../../../src/store/db.ts'
import { createStore, type Store } from '../../../src/store/index.ts'
import { MAX_GROUP } from '../../../src/store/postgres/groups.ts'
import { forKeys, forRows } from '../../../src/store/postgres/one-statement.ts'

/** Tables that grow with users, sessions or requests; the others are as small as a configuration. */
const LARGE: ReadonlySet<string> = new Set([
  'users',
  'user_roles',
  'client_sessions',
  'user_sessions',
  'authorization_codes',
  'pushed_requests',
  'consents',
  'logout_outbox',
  'totp_secrets',
  'passkeys',
  'recovery_codes',
  'single_use',
  'revoked_tokens',
  'status_blocks',
  'status_entries',
  'rate_limits',
  'known_locations',
  'audit',
])

/** Queries that operators make occasionally and that may take long; no request or background job makes them. */
const OCCASIONAL: readonly RegExp[] = [
  /^SELECT \* FROM client_sessions WHERE 1 = 1 (AND \(created_at < \$\d+ OR .*\) )?ORDER BY/,
  /^SELECT \* FROM audit (WHERE event = \$1 )?ORDER BY at DESC, seq DESC LIMIT/,
  /^DELETE FROM clients WHERE id = \$1( AND revision = \$2)?$/,
  // For users whom a rotation of the master key affects.
  /FROM recovery_codes WHERE data_key < \$1/,
  // For the metrics: the table holds only undelivered notifications.
  /^SELECT count\(\*\) AS count FROM logout_outbox$/,
]

interface Plans {
  /** A store on this connection that records the statements of its aggregates, but not those of the test. */
  store(db: Db): Store
  /** Each statement that reads a whole large table, with the line of the plan that says so. */
  scans(explain: (sql: string) => Promise<readonly string[]>): Promise<string[]>
  /** The column that names the row of each `Step.row`, as `table.column`. */
  rowKeys(): string[]
}

/** @param groups whether the engine does the work of several queries or batches with one statement */
export function recordPlans({ groups }: { readonly groups: boolean }): Plans {
  const texts = new Set<string>()
  const rowKeys = new Set<string>()
  return {
    store(db) {
      const recording: Db = {
        ...db,
        query(sql, params, key) {
          texts.add(sql)
          if (key !== undefined && groups) texts.add(forKeys(sql)(MAX_GROUP))
          return db.query<never>(sql, params, key)
        },
        batch(steps, options) {
          for (const { sql, row } of steps) {
            texts.add(sql)
            if (row) rowKeys.add(`${row.table}.${row.key}`)
            if (row && groups) texts.add(forRows(sql, row).textFor(MAX_GROUP))
          }
          return db.batch(steps, options)
        },
      }
      return { ...createStore(recording), db }
    },

    rowKeys: () => [...rowKeys],

    async scans(explain) {
      const found: string[] = []
      for (const text of texts) {
        const sql = text.replace(/\s+/g, ' ').trim()
        if (OCCASIONAL.some((pattern) => pattern.test(sql))) continue
        for (const line of await explain(sql)) {
          // SQLite: `SCAN sessions USING INDEX …`; PostgreSQL: `Seq Scan on sessions s`. Reading an index from end to
          // end is no better.
          const [, table = ''] = /^(?:SCAN|.*Seq Scan on) (\w+)/.exec(line) ?? []
          if (LARGE.has(table)) found.push(`${sql} — ${line.trim()}`)
        }
      }
      if (texts.size < 50) throw new Error(`only ${texts.size} statements were seen`)
      return found
    },
  }
}
