import type { RevokedTokenStore } from '../contracts/revoked-tokens.ts'
import type { Db } from '../db.ts'
import { pruneExpired } from './prune.ts'
import { revokeIndex, statusChanged } from './status.ts'

export function createRevokedTokenStore(db: Db): RevokedTokenStore {
  return {
    add(jti, expiresAt, index) {
      return db.batch([
        {
          sql: 'INSERT INTO revoked_tokens (jti, expires_at) VALUES ($1, $2) ON CONFLICT (jti) DO NOTHING',
          params: [jti, expiresAt],
          expectRows: 1,
        },
        ...(index ? [statusChanged, revokeIndex(index, expiresAt)] : []),
      ])
    },

    async has(jti) {
      const rows = await db.query('SELECT 1 AS found FROM revoked_tokens WHERE jti = $1', [jti])
      return rows.length > 0
    },

    prune: (before, limit) =>
      pruneExpired(db, { table: 'revoked_tokens', key: ['jti'], end: 'expires_at' }, before, limit),
  }
}
