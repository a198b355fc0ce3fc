import type { EpochSeconds } from '../../system.ts'
import type { LinkPurpose, OneTimeLink, OneTimeLinkStore } from '../contracts/one-time-links.ts'
import type { Db, Step } from '../db.ts'
import { pruneExpired } from './prune.ts'

interface OneTimeLinkRow {
  user_id: string
  purpose: LinkPurpose
  hash: string
  created_at: number
  expires_at: number
}

export function createOneTimeLinkStore(db: Db): OneTimeLinkStore {
  return {
    replace({ userId, purpose, hash, createdAt, expiresAt }) {
      return db.batch([
        { sql: 'SELECT 1 FROM users WHERE id = $1', params: [userId], lock: 'share' },
        {
          sql: `INSERT INTO one_time_links (user_id, purpose, hash, created_at, expires_at)
                SELECT id, $2, $3, $4, $5 FROM users WHERE id = $1 AND disabled = 0
                ON CONFLICT (user_id, purpose) DO UPDATE
                SET hash = excluded.hash, created_at = excluded.created_at, expires_at = excluded.expires_at`,
          params: [userId, purpose, hash, createdAt, expiresAt],
          expectRows: 1,
        },
      ])
    },

    async find(hash, purpose, now) {
      const [row] = await db.query<OneTimeLinkRow>(
        'SELECT * FROM one_time_links WHERE hash = $1 AND purpose = $2 AND expires_at > $3',
        [hash, purpose, now],
      )
      return row ? toLink(row) : null
    },

    consume: (link, now) =>
      db.batch([
        { sql: 'SELECT 1 FROM users WHERE id = $1', params: [link.userId], lock: true },
        deleteValid(link, now),
      ]),

    setPassword: (link, passwordHash, now) =>
      db.batch([
        // The user is locked first, as by all changes of a user that make the link void.
        {
          sql: 'UPDATE users SET password_hash = $2, revision = revision + 1 WHERE id = $1 AND disabled = 0',
          params: [link.userId, passwordHash],
          expectRows: 1,
        },
        deleteValid(link, now),
        { sql: 'DELETE FROM one_time_links WHERE user_id = $1', params: [link.userId] },
      ]),

    prune: (before, limit) =>
      pruneExpired(
        db,
        { table: 'one_time_links', key: ['user_id', 'purpose'], end: 'expires_at' },
        before,
        limit,
      ),
  }
}

const deleteValid = ({ userId, purpose, hash }: OneTimeLink, now: EpochSeconds): Step => ({
  sql: `DELETE FROM one_time_links
         WHERE user_id = $1 AND purpose = $2 AND hash = $3 AND expires_at > $4
           AND EXISTS (SELECT 1 FROM users WHERE id = $1 AND disabled = 0)`,
  params: [userId, purpose, hash, now],
  expectRows: 1,
})

const toLink = (row: OneTimeLinkRow): OneTimeLink => ({
  userId: row.user_id,
  purpose: row.purpose,
  hash: row.hash,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
})
