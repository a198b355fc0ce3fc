import type { NodeStore } from '../contracts/nodes.ts'
import type { Db } from '../db.ts'
import { pruneExpired } from './prune.ts'

interface NodeRow {
  id: string
  hostname: string
  pid: number
  version: string
  ring_version: number
  master_keys: string
  settings: string
  started_at: number
  seen_at: number
}

export function createNodeStore(db: Db): NodeStore {
  return {
    async record({ id, hostname, pid, version, ringVersion, masterKeys, settings, startedAt, seenAt }) {
      await db.batch([
        {
          sql: `INSERT INTO nodes (id, hostname, pid, version, ring_version, master_keys, settings, started_at,
                  seen_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                ON CONFLICT (id) DO UPDATE SET ring_version = excluded.ring_version,
                  master_keys = excluded.master_keys, seen_at = excluded.seen_at`,
          params: [
            id,
            hostname,
            pid,
            version,
            ringVersion,
            masterKeys.join(' '),
            JSON.stringify(settings),
            startedAt,
            seenAt,
          ],
        },
      ])
    },

    async list() {
      const rows = await db.query<NodeRow>('SELECT * FROM nodes ORDER BY started_at, id')
      return rows.map((row) => ({
        id: row.id,
        hostname: row.hostname,
        pid: row.pid,
        version: row.version,
        ringVersion: row.ring_version,
        masterKeys: row.master_keys.split(' ').filter(Boolean),
        settings: JSON.parse(row.settings),
        startedAt: row.started_at,
        seenAt: row.seen_at,
      }))
    },

    async remove(id) {
      await db.batch([{ sql: 'DELETE FROM nodes WHERE id = $1', params: [id] }])
    },

    prune: (before, limit) =>
      pruneExpired(db, { table: 'nodes', key: ['id'], end: 'seen_at' }, before, limit),
  }
}
