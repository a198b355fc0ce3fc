import type { Consent, ConsentStore } from '../contracts/consents.ts'
import { ConstraintViolation, type Db } from '../db.ts'

interface ConsentRow {
  user_id: string
  client_id: string
  audience: string
  scope: string
  granted_at: number
}

const COLUMNS = 'user_id, client_id, audience, scope, granted_at'

export function createConsentStore(db: Db): ConsentStore {
  async function find(userId: string, clientId: string, audience: string): Promise<Consent | null> {
    const [row] = await db.query<ConsentRow>(
      `SELECT ${COLUMNS} FROM consents WHERE user_id = $1 AND client_id = $2 AND audience = $3`,
      [userId, clientId, audience],
    )
    return row ? toConsent(row) : null
  }

  async function list(userId: string, clientId?: string): Promise<Consent[]> {
    const rows = await db.query<ConsentRow>(
      `SELECT ${COLUMNS} FROM consents WHERE user_id = $1 ${clientId === undefined ? '' : 'AND client_id = $2'}
          ORDER BY granted_at DESC, client_id, audience`,
      clientId === undefined ? [userId] : [userId, clientId],
    )
    return rows.map(toConsent)
  }

  return {
    find,

    list,

    async add({ userId, clientId, audience, scopes, grantedAt }) {
      for (;;) {
        const existing = await find(userId, clientId, audience)
        const all = [...new Set([...(existing?.scopes ?? []), ...scopes])].join(' ')
        const key = [userId, clientId, audience]
        try {
          const stored = await db.batch([
            existing
              ? {
                  // Scopes that another tab adds concurrently must not be lost.
                  sql: `UPDATE consents SET scope = $4, granted_at = $5
                         WHERE user_id = $1 AND client_id = $2 AND audience = $3 AND scope = $6`,
                  params: [...key, all, grantedAt, existing.scopes.join(' ')],
                  expectRows: 1,
                }
              : {
                  sql: `INSERT INTO consents (${COLUMNS}) VALUES ($1, $2, $3, $4, $5)
                        ON CONFLICT (user_id, client_id, audience) DO NOTHING`,
                  params: [...key, all, grantedAt],
                  expectRows: 1,
                },
          ])
          if (stored) return true
        } catch (error) {
          if (error instanceof ConstraintViolation) return false
          throw error
        }
      }
    },

    async delete(userId, clientId) {
      for (;;) {
        const rows = await list(userId, clientId)
        if (rows.length === 0) return false
        const deleted = await db.batch(
          rows.map(({ audience }) => ({
            sql: 'DELETE FROM consents WHERE user_id = $1 AND client_id = $2 AND audience = $3',
            params: [userId, clientId, audience],
            expectRows: 1,
          })),
        )
        if (deleted) return true
      }
    },
  }
}

function toConsent(row: ConsentRow): Consent {
  return {
    userId: row.user_id,
    clientId: row.client_id,
    audience: row.audience,
    scopes: row.scope.split(' ').filter(Boolean),
    grantedAt: row.granted_at,
  }
}
