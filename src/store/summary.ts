/** What is in a store, in a few numbers, so that people see whether it is the right one. */
import type { Reader } from './db.ts'

export interface Summary {
  /** The newest migration; null if it is no store. */
  readonly schema: string | null
  readonly clients: number
  readonly users: number
  readonly sessions: number
  readonly keys: number
}

export async function summarize(db: Pick<Reader, 'query'>): Promise<Summary> {
  const [row] = await db.query<Summary>(
    `SELECT (SELECT max(name) FROM schema_migrations) AS schema, (SELECT count(*) FROM clients) AS clients,
            (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM client_sessions) AS sessions,
            (SELECT count(*) FROM ring_keys) AS keys`,
  )
  return row ?? { schema: null, clients: 0, users: 0, sessions: 0, keys: 0 }
}
