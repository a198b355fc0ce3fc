import type { EpochSeconds } from '../../system.ts'
import type { SingleUseStore } from '../contracts/single-use.ts'
import type { Db, Step } from '../db.ts'
import { pruneExpired } from './prune.ts'

export function createSingleUseStore(db: Db): SingleUseStore {
  return {
    claim: (id, until) => db.batch([claimOnce(id, until)]),

    async has(id) {
      const rows = await db.query('SELECT 1 AS found FROM single_use WHERE id = $1', [id])
      return rows.length > 0
    },

    prune: (before, limit) =>
      pruneExpired(db, { table: 'single_use', key: ['id'], end: 'expires_at' }, before, limit),
  }
}

/** A step that fails its batch unless the identifier is new. */
export function claimOnce(id: string, until: EpochSeconds): Step {
  return {
    sql: 'INSERT INTO single_use (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING',
    params: [id, until],
    expectRows: 1,
  }
}
