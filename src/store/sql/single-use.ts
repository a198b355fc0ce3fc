import type { SingleUseStore } from '../contracts/single-use.ts'
import type { Db } from '../db.ts'
import { pruneExpired } from './prune.ts'

export function createSingleUseStore(db: Db): SingleUseStore {
  return {
    claim(id, until) {
      return db.batch([
        {
          sql: 'INSERT INTO single_use (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING',
          params: [id, until],
          expectRows: 1,
        },
      ])
    },

    prune: (before, limit) =>
      pruneExpired(db, { table: 'single_use', key: ['id'], end: 'expires_at' }, before, limit),
  }
}
