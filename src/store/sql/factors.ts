import { type FactorStore, MAX_PASSKEYS, type Passkey } from '../contracts/factors.ts'
import { type Db, falseOnConflict, type Step } from '../db.ts'

interface SummaryRow {
  totp: number
  passkeys: number
  recovery_codes: number
}

interface TotpRow {
  user_id: string
  encrypted_secret: string
  data_key: number
  last_step: number
  created_at: number
}

interface PasskeyRow {
  id: string
  user_id: string
  public_key: string
  counter: number
  transports: string
  name: string
  backed_up: number
  created_at: number
  last_used_at: number | null
}

const PASSKEY_COLUMNS =
  'id, user_id, public_key, counter, transports, name, backed_up, created_at, last_used_at'

export function createFactorStore(db: Db): FactorStore {
  const batchOrFalse = (steps: readonly Step[]) => falseOnConflict(db.batch(steps))

  async function summary(userId: string) {
    const [row] = await db.query<SummaryRow>(
      `SELECT (SELECT COUNT(*) FROM totp_secrets WHERE user_id = $1) AS totp,
              (SELECT COUNT(*) FROM passkeys WHERE user_id = $1) AS passkeys,
              (SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1) AS recovery_codes`,
      [userId],
    )
    return {
      totp: Number(row?.totp) > 0,
      passkeys: Number(row?.passkeys),
      recoveryCodes: Number(row?.recovery_codes),
    }
  }

  return {
    summary,

    async findTotp(userId) {
      const [row] = await db.query<TotpRow>(
        'SELECT user_id, encrypted_secret, data_key, last_step, created_at FROM totp_secrets WHERE user_id = $1',
        [userId],
      )
      if (!row) return null
      return {
        userId: row.user_id,
        encryptedSecret: row.encrypted_secret,
        dataKey: row.data_key,
        lastStep: row.last_step,
        createdAt: row.created_at,
      }
    },

    addTotp: ({ userId, encryptedSecret, dataKey, lastStep, createdAt }) =>
      batchOrFalse([
        {
          sql: `INSERT INTO totp_secrets (user_id, encrypted_secret, data_key, last_step, created_at)
                VALUES ($1, $2, $3, $4, $5)`,
          params: [userId, encryptedSecret, dataKey, lastStep, createdAt],
        },
      ]),

    consumeTotpStep: (userId, encryptedSecret, step) =>
      db.batch([
        {
          sql: `UPDATE totp_secrets SET last_step = $3
                 WHERE user_id = $1 AND encrypted_secret = $2 AND last_step < $3`,
          params: [userId, encryptedSecret, step],
          expectRows: 1,
        },
      ]),

    removeTotp: (userId) =>
      db.batch([
        lockUser(userId),
        { sql: 'DELETE FROM totp_secrets WHERE user_id = $1', params: [userId], expectRows: 1 },
        deleteCodesWithoutFactor(userId),
      ]),

    async listTotpBefore(dataKey, limit) {
      const rows = await db.query<Pick<TotpRow, 'user_id' | 'encrypted_secret'>>(
        `SELECT user_id, encrypted_secret FROM totp_secrets
          WHERE data_key < $1 ORDER BY data_key, user_id LIMIT $2`,
        [dataKey, limit],
      )
      return rows.map((row) => ({ userId: row.user_id, encryptedSecret: row.encrypted_secret }))
    },

    reencryptTotp: (userId, expected, encryptedSecret, dataKey) =>
      db.batch([
        {
          sql: `UPDATE totp_secrets SET encrypted_secret = $3, data_key = $4
                 WHERE user_id = $1 AND encrypted_secret = $2`,
          params: [userId, expected, encryptedSecret, dataKey],
          expectRows: 1,
        },
      ]),

    async listPasskeys(userId) {
      const rows = await db.query<PasskeyRow>(
        `SELECT ${PASSKEY_COLUMNS} FROM passkeys WHERE user_id = $1 ORDER BY created_at, id`,
        [userId],
      )
      return rows.map(toPasskey)
    },

    async findPasskey(id) {
      const [row] = await db.query<PasskeyRow>(`SELECT ${PASSKEY_COLUMNS} FROM passkeys WHERE id = $1`, [id])
      return row ? toPasskey(row) : null
    },

    async addPasskey(passkey) {
      for (;;) {
        const rows = await db.query<{ id: string; user_id: string; slot: number }>(
          'SELECT id, user_id, slot FROM passkeys WHERE user_id = $1 OR id = $2',
          [passkey.userId, passkey.id],
        )
        if (rows.some(({ id }) => id === passkey.id)) return false
        const taken = new Set(rows.map(({ slot }) => slot))
        const slot = Array.from({ length: MAX_PASSKEYS }, (_, i) => i).find((i) => !taken.has(i))
        if (slot === undefined) return false
        const users = await db.query('SELECT 1 AS found FROM users WHERE id = $1', [passkey.userId])
        if (users.length === 0) return false
        // Another passkey may take the slot concurrently. Each retry means that a passkey was added, so the loop ends.
        if (await batchOrFalse([insertPasskey(passkey, slot)])) return true
      }
    },

    recordPasskeyUse: ({ id, userId, counter, backedUp }, now) =>
      db.batch([
        {
          sql: `UPDATE passkeys SET counter = $3, backed_up = $4, last_used_at = $5
                 WHERE id = $1 AND user_id = $2
                   AND (counter < $3 OR (counter = 0 AND CAST($3 AS BIGINT) = 0))`,
          params: [id, userId, counter, backedUp ? 1 : 0, now],
          expectRows: 1,
        },
      ]),

    removePasskey: (userId, id) =>
      db.batch([
        lockUser(userId),
        { sql: 'DELETE FROM passkeys WHERE user_id = $1 AND id = $2', params: [userId, id], expectRows: 1 },
        deleteCodesWithoutFactor(userId),
      ]),

    async replaceRecoveryCodes(userId, hashes, dataKey) {
      for (;;) {
        const users = await db.query('SELECT 1 AS found FROM users WHERE id = $1', [userId])
        if (users.length === 0) return false
        const replaced = await batchOrFalse([
          { sql: 'DELETE FROM recovery_codes WHERE user_id = $1', params: [userId] },
          ...hashes.map((hash, position) => ({
            sql: 'INSERT INTO recovery_codes (user_id, position, hash, data_key) VALUES ($1, $2, $3, $4)',
            params: [userId, position, hash, dataKey],
          })),
        ])
        // Another set was inserted concurrently. This set is the later one and replaces it.
        if (replaced) return true
      }
    },

    async recoveryCodesKey(userId) {
      const [row] = await db.query<{ data_key: number }>(
        'SELECT data_key FROM recovery_codes WHERE user_id = $1 LIMIT 1',
        [userId],
      )
      return row?.data_key ?? null
    },

    consumeRecoveryCode: (userId, hash) =>
      db.batch([
        {
          sql: 'DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2',
          params: [userId, hash],
          expectRows: 1,
        },
      ]),

    async reset(userId) {
      const { totp, passkeys, recoveryCodes } = await summary(userId)
      await db.batch(
        ['totp_secrets', 'passkeys', 'recovery_codes'].map((table) => ({
          sql: `DELETE FROM ${table} WHERE user_id = $1`,
          params: [userId],
        })),
      )
      return totp || passkeys + recoveryCodes > 0
    },
  }
}

/** If two factors are removed concurrently, the second removal sees that no factor is left. */
const lockUser = (userId: string): Step => ({
  sql: 'SELECT 1 FROM users WHERE id = $1',
  params: [userId],
  lock: true,
})

function deleteCodesWithoutFactor(userId: string): Step {
  return {
    sql: `DELETE FROM recovery_codes WHERE user_id = $1
             AND NOT EXISTS (SELECT 1 FROM totp_secrets WHERE user_id = $1)
             AND NOT EXISTS (SELECT 1 FROM passkeys WHERE user_id = $1)`,
    params: [userId],
  }
}

function insertPasskey(passkey: Passkey, slot: number): Step {
  return {
    sql: `INSERT INTO passkeys (${PASSKEY_COLUMNS}, slot) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    params: [
      passkey.id,
      passkey.userId,
      passkey.publicKey,
      passkey.counter,
      passkey.transports.join(' '),
      passkey.name,
      passkey.backedUp ? 1 : 0,
      passkey.createdAt,
      passkey.lastUsedAt,
      slot,
    ],
  }
}

function toPasskey(row: PasskeyRow): Passkey {
  return {
    id: row.id,
    userId: row.user_id,
    publicKey: row.public_key,
    counter: row.counter,
    transports: row.transports.split(' ').filter(Boolean),
    name: row.name,
    backedUp: row.backed_up === 1,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  }
}
