import type { Consent, ConsentStore } from '../contracts/consents.ts'
import { ConstraintViolation, type Db } from '../db.ts'

interface ConsentRow {
  user_id: string
  client_id: string
  scope: string
  granted_at: number
}

const COLUMNS = 'user_id, client_id, scope, granted_at'

export function createConsentStore(db: Db): ConsentStore {
  async function find(userId: string, clientId: string): Promise<Consent | null> {
    const [row] = await db.query<ConsentRow>(
      `SELECT ${COLUMNS} FROM consents WHERE user_id = $1 AND client_id = $2`,
      [userId, clientId],
    )
    return row ? toConsent(row) : null
  }

  return {
    find,

    async list(userId) {
      const rows = await db.query<ConsentRow>(
        `SELECT ${COLUMNS} FROM consents WHERE user_id = $1 ORDER BY granted_at DESC, client_id`,
        [userId],
      )
      return rows.map(toConsent)
    },

    async add({ userId, clientId, scopes, grantedAt }) {
      for (;;) {
        const before = await find(userId, clientId)
        const all = [...new Set([...(before?.scopes ?? []), ...scopes])].join(' ')
        const key = [userId, clientId]
        try {
          const stored = await db.batch([
            before
              ? {
                  // Scopes that another tab adds at the same moment must not be lost.
                  sql: `UPDATE consents SET scope = $3, granted_at = $4
                         WHERE user_id = $1 AND client_id = $2 AND scope = $5`,
                  params: [...key, all, grantedAt, before.scopes.join(' ')],
                  expectRows: 1,
                }
              : {
                  sql: `INSERT INTO consents (${COLUMNS}) VALUES ($1, $2, $3, $4)
                        ON CONFLICT (user_id, client_id) DO NOTHING`,
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

    delete(userId, clientId) {
      return db.batch([
        {
          sql: 'DELETE FROM consents WHERE user_id = $1 AND client_id = $2',
          params: [userId, clientId],
          expectRows: 1,
        },
      ])
    },
  }
}

function toConsent(row: ConsentRow): Consent {
  return {
    userId: row.user_id,
    clientId: row.client_id,
    scopes: row.scope.split(' ').filter(Boolean),
    grantedAt: row.granted_at,
  }
}
