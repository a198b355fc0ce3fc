import type { EpochSeconds } from '../../system.ts'
import type { PushedRequestStore } from '../contracts/pushed-requests.ts'
import { type Db, falseOnConflict, type Step } from '../db.ts'
import { pruneExpired } from './prune.ts'

interface PushedRequestRow {
  client_id: string
  client_revision: number
  parameters: string
  expires_at: number
  used_at: number | null
}

export function createPushedRequestStore(db: Db): PushedRequestStore {
  return {
    async insert(hash, { clientId, clientRevision, parameters, expiresAt, usedAt }) {
      return falseOnConflict(
        db.batch([
          {
            sql: `INSERT INTO pushed_requests (hash, client_id, client_revision, parameters, expires_at, used_at)
                  VALUES ($1, $2, $3, $4, $5, $6)`,
            params: [hash, clientId, clientRevision, JSON.stringify(parameters), expiresAt, usedAt],
          },
        ]),
      )
    },

    async find(hash) {
      const [row] = await db.query<PushedRequestRow>('SELECT * FROM pushed_requests WHERE hash = $1', [hash])
      if (!row) return null
      return {
        clientId: row.client_id,
        clientRevision: row.client_revision,
        parameters: JSON.parse(row.parameters),
        expiresAt: row.expires_at,
        usedAt: row.used_at,
      }
    },

    consume: (hash, now) => db.batch([consumePushed(hash, now)]),

    prune: (before, limit) =>
      pruneExpired(db, { table: 'pushed_requests', key: ['hash'], end: 'expires_at' }, before, limit),
  }
}

export function consumePushed(hash: string, now: EpochSeconds): Step {
  return {
    sql: 'UPDATE pushed_requests SET used_at = $2 WHERE hash = $1 AND used_at IS NULL',
    params: [hash, now],
    expectRows: 1,
  }
}
