import type { LogoutOutboxStore } from '../contracts/logout-outbox.ts'
import type { Db } from '../db.ts'

interface LogoutOutboxRow {
  client_session_id: string
  client_id: string
  user_id: string
  attempts: number
  due_at: number
}

export function createLogoutOutboxStore(db: Db): LogoutOutboxStore {
  return {
    async due(now, limit, exceptClients = []) {
      const others = exceptClients.map((_, i) => ` AND client_id <> $${i + 3}`).join('')
      const rows = await db.query<LogoutOutboxRow>(
        `SELECT * FROM logout_outbox WHERE due_at <= $1${others} ORDER BY due_at, client_session_id LIMIT $2`,
        [now, limit, ...exceptClients],
      )
      return rows.map((row) => ({
        clientSessionId: row.client_session_id,
        clientId: row.client_id,
        userId: row.user_id,
        attempts: row.attempts,
        dueAt: row.due_at,
      }))
    },

    claim({ clientSessionId, attempts, dueAt }, nextDueAt) {
      return db.batch([
        {
          sql: `UPDATE logout_outbox SET attempts = attempts + 1, due_at = $4
                 WHERE client_session_id = $1 AND attempts = $2 AND due_at = $3`,
          params: [clientSessionId, attempts, dueAt, nextDueAt],
          expectRows: 1,
        },
      ])
    },

    async delete(clientSessionId) {
      await db.batch([
        { sql: 'DELETE FROM logout_outbox WHERE client_session_id = $1', params: [clientSessionId] },
      ])
    },

    async count() {
      const [row] = await db.query<{ count: number }>('SELECT count(*) AS count FROM logout_outbox')
      return row?.count ?? 0
    },
  }
}
