import type { UserSession, UserSessionStore } from '../contracts/user-sessions.ts'
import { type Db, falseOnConflict, type Param } from '../db.ts'
import { enqueueLogout, revokeSessionSteps } from './client-sessions.ts'
import { pruneExpired } from './prune.ts'
import { statusChanged } from './status.ts'

interface UserSessionRow {
  id: string
  user_id: string
  created_at: number
  auth_time: number
  amr: string
  expires_at: number
  idle_expires_at: number
  ended_at: number | null
  ip: string
  user_agent: string
}

const COLUMNS =
  'id, user_id, created_at, auth_time, amr, expires_at, idle_expires_at, ended_at, ip, user_agent'

export function createUserSessionStore(db: Db): UserSessionStore {
  async function first(where: string, params: Param[]): Promise<UserSession | null> {
    const [row] = await db.query<UserSessionRow>(
      `SELECT ${COLUMNS} FROM user_sessions WHERE ${where}`,
      params,
    )
    return row ? toUserSession(row) : null
  }

  return {
    async insert(userSession, secretHash) {
      return falseOnConflict(
        db.batch([
          {
            sql: `INSERT INTO user_sessions (${COLUMNS}, secret_hash)
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
            params: [
              userSession.id,
              userSession.userId,
              userSession.createdAt,
              userSession.authTime,
              userSession.amr.join(' '),
              userSession.expiresAt,
              userSession.idleExpiresAt,
              userSession.endedAt,
              userSession.ip,
              userSession.userAgent,
              secretHash,
            ],
          },
        ]),
      )
    },

    findBySecret: (secretHash) => first('secret_hash = $1', [secretHash]),
    find: (id) => first('id = $1', [id]),

    renew(id, secrets, { authTime, amr, idleExpiresAt }) {
      return db.batch([
        {
          sql: `UPDATE user_sessions SET secret_hash = $3, auth_time = $4, amr = $5, idle_expires_at = $6
                 WHERE id = $1 AND secret_hash = $2 AND ended_at IS NULL`,
          params: [id, secrets.expected, secrets.replacement, authTime, amr.join(' '), idleExpiresAt],
          expectRows: 1,
        },
      ])
    },

    async touch(id, idleExpiresAt) {
      await db.batch([
        {
          sql: 'UPDATE user_sessions SET idle_expires_at = $2 WHERE id = $1 AND idle_expires_at < $2',
          params: [id, idleExpiresAt],
        },
      ])
    },

    async end(id, now, reason) {
      for (;;) {
        const rows = await db.query<{ id: string }>(
          'SELECT id FROM client_sessions WHERE user_session_id = $1 AND offline = 0 AND revoked_at IS NULL',
          [id],
        )
        const ended = await db.batch([
          // The first step, so that a code of the session is redeemed either before it or not at all.
          {
            sql: 'UPDATE user_sessions SET ended_at = $2, ended_reason = $3 WHERE id = $1 AND ended_at IS NULL',
            params: [id, now, reason],
            expectRows: 1,
          },
          statusChanged,
          // Offline sessions continue, but their clients must know that the user has signed out.
          enqueueLogout('user_session_id = $1', [id], now),
          ...rows.flatMap((row) => revokeSessionSteps(row.id, now, reason)),
          // If a session started since the sessions were read, the batch is rolled back, and they are read again.
          {
            sql: `UPDATE client_sessions SET revoked_at = $2
                   WHERE user_session_id = $1 AND offline = 0 AND revoked_at IS NULL`,
            params: [id, now],
            expectRows: 0,
          },
        ])
        if (ended) return rows.map((row) => row.id)
        const userSession = await first('id = $1', [id])
        if (!userSession || userSession.endedAt !== null) return null
      }
    },

    async list(userId, now) {
      const rows = await db.query<UserSessionRow>(
        `SELECT ${COLUMNS} FROM user_sessions
          WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND idle_expires_at > $2
          ORDER BY created_at DESC, id`,
        [userId, now],
      )
      return rows.map(toUserSession)
    },

    prune: (before, limit) =>
      pruneExpired(
        db,
        { table: 'user_sessions', key: ['id'], end: 'idle_expires_at', hour: 'end_hour' },
        before,
        limit,
      ),
  }
}

function toUserSession(row: UserSessionRow): UserSession {
  return {
    id: row.id,
    userId: row.user_id,
    createdAt: row.created_at,
    authTime: row.auth_time,
    amr: row.amr.split(' ').filter(Boolean),
    expiresAt: row.expires_at,
    idleExpiresAt: row.idle_expires_at,
    endedAt: row.ended_at,
    ip: row.ip,
    userAgent: row.user_agent,
  }
}
