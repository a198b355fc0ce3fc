import type { EpochSeconds } from '../../system.ts'
import type { Db } from '../db.ts'

interface Expiring {
  readonly table: string
  readonly key: string
  readonly end: string
}

/** Deletes at most `limit` rows that ended before `before`, so that no request waits long for its turn. */
export async function pruneExpired(
  db: Db,
  { table, key, end }: Expiring,
  before: EpochSeconds,
  limit: number,
): Promise<number> {
  const rows = await db.query<{ key: string }>(
    `SELECT ${key} AS key FROM ${table} WHERE ${end} < $1 LIMIT $2`,
    [before, limit],
  )
  if (rows.length === 0) return 0
  // The condition is asked again: a row may have been given more time since it was read.
  await db.batch(
    rows.map((row) => ({
      sql: `DELETE FROM ${table} WHERE ${key} = $1 AND ${end} < $2`,
      params: [row.key, before],
    })),
  )
  return rows.length
}
