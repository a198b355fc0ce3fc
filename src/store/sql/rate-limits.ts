import type { Seconds } from '../../system.ts'
import type { Bucket, KnownLocationStore, RateLimitStore } from '../contracts/rate-limits.ts'
import type { Db } from '../db.ts'
import { pruneExpired } from './prune.ts'

/**
 * `full_at` is never further ahead than the time that the whole bucket needs to refill. A row that is further ahead by more than
 * this tolerance was written while the clock was wrong, and would block attempts until that time; it counts as full. The
 * tolerance is larger than the difference between the clocks of nodes.
 */
const CLOCK_ERROR: Seconds = 180

export function createRateLimitStore(db: Db): RateLimitStore {
  return {
    async take(buckets, now) {
      const taken = await db.batch(
        buckets.map(({ key, burst, interval }) => ({
          sql: `INSERT INTO rate_limits (key, full_at) VALUES ($1, CAST($2 AS BIGINT) + CAST($3 AS BIGINT))
                ON CONFLICT (key) DO UPDATE SET full_at =
                  CASE WHEN rate_limits.full_at BETWEEN CAST($2 AS BIGINT) AND CAST($5 AS BIGINT)
                       THEN rate_limits.full_at ELSE CAST($2 AS BIGINT) END
                  + CAST($3 AS BIGINT)
                WHERE rate_limits.full_at <= CAST($2 AS BIGINT) + CAST($4 AS BIGINT)
                   OR rate_limits.full_at > CAST($5 AS BIGINT)`,
          params: [key, now, interval, (burst - 1) * interval, now + burst * interval + CLOCK_ERROR],
          expectRows: 1,
        })),
      )
      if (taken) return 0
      return Math.max(1, ...(await waits(buckets, now)))
    },

    waits,

    async refund(buckets) {
      await db.batch(
        buckets.map(({ key, interval }) => ({
          sql: 'UPDATE rate_limits SET full_at = full_at - $2 WHERE key = $1',
          params: [key, interval],
        })),
      )
    },

    async reset(key) {
      await db.batch([{ sql: 'DELETE FROM rate_limits WHERE key = $1', params: [key] }])
    },

    prune: (now, limit) =>
      pruneExpired(db, { table: 'rate_limits', key: ['key'], end: 'full_at' }, now, limit),
  }

  async function waits(buckets: readonly Bucket[], now: number): Promise<Seconds[]> {
    const placeholders = buckets.map((_, i) => `$${i + 1}`).join(', ')
    const rows = await db.query<{ key: string; full_at: number }>(
      `SELECT key, full_at FROM rate_limits WHERE key IN (${placeholders})`,
      buckets.map(({ key }) => key),
    )
    const fullAt = new Map(rows.map((row) => [row.key, row.full_at]))
    return buckets.map(({ key, burst, interval }) => {
      const end = fullAt.get(key) ?? 0
      if (end > now + burst * interval + CLOCK_ERROR) return 0
      return Math.max(0, end - now - (burst - 1) * interval)
    })
  }
}

export function createKnownLocationStore(db: Db): KnownLocationStore {
  return {
    async add(key, until) {
      await db.batch([
        {
          sql: `INSERT INTO known_locations (key, expires_at) VALUES ($1, $2)
                ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at`,
          params: [key, until],
        },
      ])
    },

    async has(key, now) {
      const rows = await db.query(
        'SELECT 1 AS found FROM known_locations WHERE key = $1 AND expires_at > $2',
        [key, now],
      )
      return rows.length > 0
    },

    prune: (before, limit) =>
      pruneExpired(db, { table: 'known_locations', key: ['key'], end: 'expires_at' }, before, limit),
  }
}
