import type { IdempotencyStore, IdempotentRequest } from '../contracts/idempotency.ts'
import type { Db } from '../db.ts'
import { pruneExpired } from './prune.ts'

interface IdempotentRequestRow {
  actor: string
  idempotency_key: string
  request: string
  begun_at: number
  expires_at: number
  answer: string | null
}

export function createIdempotencyStore(db: Db): IdempotencyStore {
  return {
    begin: ({ actor, key, request, begunAt, expiresAt }) =>
      db.batch([
        {
          // An expired row that is not pruned yet is replaced.
          sql: `INSERT INTO idempotent_requests (actor, idempotency_key, request, begun_at, expires_at)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (actor, idempotency_key) DO UPDATE
                SET request = excluded.request, begun_at = excluded.begun_at, expires_at = excluded.expires_at,
                    answer = NULL
                WHERE idempotent_requests.expires_at <= excluded.begun_at`,
          params: [actor, key, request, begunAt, expiresAt],
          expectRows: 1,
        },
      ]),

    async find(actor, key, now) {
      const [row] = await db.query<IdempotentRequestRow>(
        'SELECT * FROM idempotent_requests WHERE actor = $1 AND idempotency_key = $2 AND expires_at > $3',
        [actor, key, now],
      )
      return row ? toRequest(row) : null
    },

    finish: ({ actor, key, begunAt }, answer) =>
      db.batch([
        {
          sql: `UPDATE idempotent_requests SET answer = $4
                 WHERE actor = $1 AND idempotency_key = $2 AND begun_at = $3 AND answer IS NULL`,
          params: [actor, key, begunAt, answer],
          expectRows: 1,
        },
      ]),

    async forget({ actor, key, begunAt }) {
      await db.batch([
        {
          sql: `DELETE FROM idempotent_requests
                 WHERE actor = $1 AND idempotency_key = $2 AND begun_at = $3 AND answer IS NULL`,
          params: [actor, key, begunAt],
        },
      ])
    },

    prune: (before, limit) =>
      pruneExpired(
        db,
        { table: 'idempotent_requests', key: ['actor', 'idempotency_key'], end: 'expires_at' },
        before,
        limit,
      ),
  }
}

const toRequest = (row: IdempotentRequestRow): IdempotentRequest => ({
  actor: row.actor,
  key: row.idempotency_key,
  request: row.request,
  begunAt: row.begun_at,
  expiresAt: row.expires_at,
  answer: row.answer,
})
