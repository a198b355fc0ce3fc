import type { EpochSeconds } from '../../system.ts'
import type { Db, Param } from '../db.ts'

interface Expiring {
  readonly table: string
  /** Columns of the primary key. */
  readonly key: readonly string[]
  /** The column with the time at which a row ends. */
  readonly end: string
  /** The column with the hour of the end, if that is what is indexed. */
  readonly hour?: string
}

/** The value of a column `end_hour` for this time. */
export const hourOf = (time: EpochSeconds): number => Math.floor(time / 3600)

/** Deletes at most `limit` rows that ended before `before`, so that requests do not wait long. Returns how many it found. */
export async function pruneExpired(
  db: Db,
  { table, key, end, hour }: Expiring,
  before: EpochSeconds,
  limit: number,
): Promise<number> {
  const rows = await db.query<Record<string, Param>>(
    // The order is fixed, so that nodes that prune concurrently do not cause a deadlock.
    `SELECT ${key.join(', ')} FROM ${table} WHERE ${end} < $1 ${hour ? `AND ${hour} <= $3` : ''}
      ORDER BY ${[hour ?? end, ...key].join(', ')} LIMIT $2`,
    // Before a full hour, this reads only rows that it finds.
    [before, limit, ...(hour ? [hourOf(before - 1)] : [])],
  )
  if (rows.length === 0) return 0
  // The condition is checked again: the row may have been extended since it was read.
  await db.batch(
    rows.map((row) => ({
      sql: `DELETE FROM ${table} WHERE ${end} < $1${key.map((name, i) => ` AND ${name} = $${i + 2}`).join('')}`,
      params: [before, ...key.map((name) => row[name] ?? null)],
    })),
  )
  return rows.length
}
