import type { VerifierStore } from '../contracts/verifiers.ts'
import type { Db } from '../db.ts'
import { pruneExpired } from './prune.ts'

interface VerifierRow {
  name: string
  instance: string
  ring_version: number
  seen_at: number
  expected: string | null
}

export function createVerifierStore(db: Db): VerifierStore {
  return {
    async record(verifiers) {
      await db.batch(
        verifiers.map(({ name, instance, ringVersion, seenAt }) => ({
          sql: `INSERT INTO verifiers (name, instance, ring_version, seen_at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (name, instance) DO UPDATE SET
                  ring_version = CASE WHEN verifiers.ring_version < excluded.ring_version
                                      THEN excluded.ring_version ELSE verifiers.ring_version END,
                  seen_at = CASE WHEN verifiers.seen_at < excluded.seen_at
                                 THEN excluded.seen_at ELSE verifiers.seen_at END`,
          params: [name, instance, ringVersion, seenAt],
        })),
      )
    },

    async list(since) {
      const rows = await db.query<VerifierRow>(
        `SELECT v.name, v.instance, v.ring_version, v.seen_at, e.name AS expected
           FROM verifiers v LEFT JOIN expected_verifiers e ON e.name = v.name
          WHERE v.seen_at >= $1 ORDER BY v.name, v.instance`,
        [since],
      )
      return rows.map((row) => ({
        name: row.name,
        instance: row.instance,
        ringVersion: row.ring_version,
        seenAt: row.seen_at,
        expected: row.expected !== null,
      }))
    },

    expect(name, now) {
      return db.batch([
        {
          sql: `INSERT INTO expected_verifiers (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`,
          params: [name, now],
          expectRows: 1,
        },
      ])
    },

    async expected() {
      const rows = await db.query<{ name: string }>('SELECT name FROM expected_verifiers ORDER BY name')
      return rows.map(({ name }) => name)
    },

    async delete(name) {
      const rows = await db.query(
        `SELECT name FROM verifiers WHERE name = $1 UNION SELECT name FROM expected_verifiers WHERE name = $1`,
        [name],
      )
      await db.batch([
        { sql: 'DELETE FROM verifiers WHERE name = $1', params: [name] },
        { sql: 'DELETE FROM expected_verifiers WHERE name = $1', params: [name] },
      ])
      return rows.length > 0
    },

    prune: (before, limit) =>
      pruneExpired(db, { table: 'verifiers', key: ['name', 'instance'], end: 'seen_at' }, before, limit),
  }
}
