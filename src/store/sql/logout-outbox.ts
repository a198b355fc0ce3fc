import type { LogoutNoticeStore } from '../contracts/logout-outbox.ts'
import type { Db } from '../db.ts'

interface LogoutNoticeRow {
  client_session_id: string
  client_id: string
  user_id: string
  attempts: number
  due_at: number
}

export function createLogoutNoticeStore(db: Db): LogoutNoticeStore {
  return {
    async due(now, limit, exceptClients = []) {
      const others = exceptClients.map((_, i) => ` AND client_id <> $${i + 3}`).join('')
      const rows = await db.query<LogoutNoticeRow>(
        `SELECT * FROM logout_outbox WHERE due_at <= $1${others} ORDER BY due_at, client_session_id LIMIT $2`,
        [now, limit, ...exceptClients],
      )
      return rows.map((row) => ({
        sessionId: row.client_session_id,
        clientId: row.client_id,
        userId: row.user_id,
        attempts: row.attempts,
        dueAt: row.due_at,
      }))
    },

    claim({ sessionId, attempts, dueAt }, nextDueAt) {
      return db.batch([
        {
          sql: `UPDATE logout_outbox SET attempts = attempts + 1, due_at = $4
                 WHERE client_session_id = $1 AND attempts = $2 AND due_at = $3`,
          params: [sessionId, attempts, dueAt, nextDueAt],
          expectRows: 1,
        },
      ])
    },

    async delete(sessionId) {
      await db.batch([{ sql: 'DELETE FROM logout_outbox WHERE client_session_id = $1', params: [sessionId] }])
    },

    async count() {
      const [row] = await db.query<{ count: number }>('SELECT count(*) AS count FROM logout_outbox')
      return row?.count ?? 0
    },
  }
}
