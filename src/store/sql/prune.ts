import type { EpochSeconds } from '../../system.ts'
import type { Db, Param } from '../db.ts'

interface Expiring {
  readonly table: string
  /** The primary key's columns. */
  readonly key: readonly string[]
  readonly end: string
}

/** Deletes at most `limit` rows that ended before `before`, so that no request waits long for its turn. */
export async function pruneExpired(
  db: Db,
  { table, key, end }: Expiring,
  before: EpochSeconds,
  limit: number,
): Promise<number> {
  const rows = await db.query<Record<string, Param>>(
    // In an order, so that nodes that do this at the same moment do not block each other crosswise.
    `SELECT ${key.join(', ')} FROM ${table} WHERE ${end} < $1 ORDER BY ${[end, ...key].join(', ')} LIMIT $2`,
    [before, limit],
  )
  if (rows.length === 0) return 0
  // The condition is asked again: a row may have been given more time since it was read.
  await db.batch(
    rows.map((row) => ({
      sql: `DELETE FROM ${table} WHERE ${end} < $1${key.map((name, i) => ` AND ${name} = $${i + 2}`).join('')}`,
      params: [before, ...key.map((name) => row[name] ?? null)],
    })),
  )
  return rows.length
}
