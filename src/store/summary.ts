/** A few numbers by which an operator recognizes a store. */
import type { Reader } from './db.ts'

export interface Summary {
  /** Name of the newest migration; null if the database is not a store. */
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
