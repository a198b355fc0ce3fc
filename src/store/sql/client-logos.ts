import type { ClientLogoStore } from '../contracts/client-logos.ts'
import { type Db, falseOnConflict } from '../db.ts'

interface LogoRow {
  hash: string
  content_type: string
  body: string
  created_at: number
}

const UNUSED = 'NOT EXISTS (SELECT 1 FROM clients WHERE clients.logo = client_logos.hash)'

export function createClientLogoStore(db: Db): ClientLogoStore {
  return {
    async put({ hash, contentType, body, createdAt }) {
      await db.batch([
        {
          sql: `INSERT INTO client_logos (hash, content_type, body, created_at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (hash) DO UPDATE SET created_at = excluded.created_at`,
          params: [hash, contentType, body.toString('base64'), createdAt],
        },
      ])
    },

    async find(hash) {
      const [row] = await db.query<LogoRow>('SELECT * FROM client_logos WHERE hash = $1', [hash])
      if (!row) return null
      const body = Buffer.from(row.body, 'base64')
      return { hash, contentType: row.content_type, body, createdAt: row.created_at }
    },

    async prune(before, limit) {
      const rows = await db.query<{ hash: string }>(
        `SELECT hash FROM client_logos WHERE created_at < $1 AND ${UNUSED} ORDER BY hash LIMIT $2`,
        [before, limit],
      )
      for (const { hash } of rows) {
        // A client may have been given the logo meanwhile; then the foreign key keeps it.
        const sql = `DELETE FROM client_logos WHERE hash = $1 AND created_at < $2 AND ${UNUSED}`
        await falseOnConflict(db.batch([{ sql, params: [hash, before] }]))
      }
      return rows.length
    },
  }
}
