import type { DataKeyStore, MasterKeyRotation, StoredDataKey } from '../contracts/data-keys.ts'
import { LIST_SIZE } from '../contracts/status.ts'
import { type Db, falseOnConflict, type Step } from '../db.ts'
import { moveHead } from './audit.ts'
import { hourOf } from './prune.ts'

interface DataKeyRow {
  number: number
  encrypted: string
  created_at: number
  current_from: number
  first_status_list: number
  invalidated: number
}

const dataKeysChanged: Step = {
  sql: `UPDATE revisions SET value = value + 1 WHERE name = 'data_keys'`,
  notify: true,
}

export function createDataKeyStore(db: Db): DataKeyStore {
  return {
    async list() {
      const rows = await db.query<DataKeyRow>('SELECT * FROM data_keys ORDER BY number')
      return rows.map(toDataKey)
    },

    async create(first) {
      return falseOnConflict(
        db.batch([
          dataKeysChanged,
          {
            sql: `INSERT INTO data_keys (number, encrypted, created_at, current_from, first_status_list, invalidated)
                  SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS BIGINT),
                         CAST($5 AS BIGINT), CAST($6 AS BIGINT)
                   WHERE NOT EXISTS (SELECT 1 FROM data_keys)`,
            params: [
              first.number,
              first.encrypted,
              first.createdAt,
              first.currentFrom,
              first.firstStatusList,
              first.invalidated ? 1 : 0,
            ],
            expectRows: 1,
          },
        ]),
      )
    },

    rotateMasterKey: (rotation) => db.batch(rotationSteps(rotation)),

    async invalidateBefore(number) {
      await db.batch([
        dataKeysChanged,
        { sql: 'UPDATE data_keys SET invalidated = 1 WHERE number < $1', params: [number] },
      ])
    },

    remove: (number) =>
      db.batch([
        dataKeysChanged,
        {
          sql: 'DELETE FROM data_keys WHERE number = $1 AND number < (SELECT MAX(number) FROM data_keys)',
          params: [number],
          expectRows: 1,
        },
      ]),

    async dependents(number, before, now) {
      const count = async (sql: string, ...params: number[]) =>
        Number((await db.query<{ count: number }>(`SELECT COUNT(*) AS count FROM ${sql}`, params))[0]?.count)
      return {
        // The condition on the hour is for the index, and follows from the one on the time.
        sessions: await count(
          `client_sessions WHERE rotated_at <= $1 AND revoked_at IS NULL
              AND idle_expires_at > $2 AND expires_at > $2 AND end_hour >= $3`,
          before,
          now,
          hourOf(now),
        ),
        secondFactors: await count('totp_secrets WHERE data_key < $1', number),
        recoveryCodes: await count(
          '(SELECT DISTINCT user_id FROM recovery_codes WHERE data_key < $1) AS users_with_codes',
          number,
        ),
        statusBlocks: await count(
          `status_blocks WHERE expires_at > $2
              AND list < (SELECT first_status_list FROM data_keys WHERE number = $1)`,
          number,
          now,
        ),
      }
    },
  }
}

function rotationSteps(rotation: MasterKeyRotation): Step[] {
  const {
    ring,
    privateKeys,
    dataKeys,
    encryptedDataKeys,
    newDataKey,
    auditHead,
    invalidateOld = false,
  } = rotation
  const previous = new Map(ring.keys.map((key) => [key.kid, key.encryptedPrivateKey]))
  return [
    {
      sql: `UPDATE ring SET version = version + 1 WHERE id = 'main' AND version = $1`,
      params: [ring.version],
      expectRows: 1,
      notify: true,
    },
    ...[...privateKeys].map(([kid, text]) => ({
      sql: 'UPDATE ring_keys SET encrypted_private_key = $2 WHERE kid = $1 AND encrypted_private_key = $3',
      params: [kid, text, previous.get(kid) ?? null],
      expectRows: 1,
    })),
    dataKeysChanged,
    ...dataKeys.map(({ number, encrypted, invalidated }) => ({
      sql: 'UPDATE data_keys SET encrypted = $2, invalidated = $4 WHERE number = $1 AND encrypted = $3',
      params: [
        number,
        encryptedDataKeys.get(number) ?? null,
        encrypted,
        invalidateOld || invalidated ? 1 : 0,
      ],
      expectRows: 1,
    })),
    ...(newDataKey ? additionSteps(newDataKey) : []),
    ...(auditHead ? [moveHead(auditHead.expected, auditHead.head)] : []),
  ]
}

/** Both kinds of status lists skip to the same position, so that one number separates the lists of this data key from older ones. */
function additionSteps(dataKey: NonNullable<MasterKeyRotation['newDataKey']>): Step[] {
  const { number, encrypted, createdAt, currentFrom } = dataKey
  return [
    { sql: 'SELECT next_position FROM status_cursors', lock: true },
    {
      sql: `UPDATE status_cursors
               SET next_position = (SELECT MAX(next_position) - MAX(next_position) % $1 + $1 FROM status_cursors)`,
      params: [LIST_SIZE],
    },
    {
      sql: `INSERT INTO data_keys (number, encrypted, created_at, current_from, first_status_list, invalidated)
            VALUES ($1, $2, $3, $4, (SELECT MAX(next_position) / ${LIST_SIZE} * 2 FROM status_cursors), 0)`,
      params: [number, encrypted, createdAt, currentFrom],
      expectRows: 1,
    },
  ]
}

const toDataKey = (row: DataKeyRow): StoredDataKey => ({
  number: row.number,
  encrypted: row.encrypted,
  createdAt: row.created_at,
  currentFrom: row.current_from,
  firstStatusList: row.first_status_list,
  invalidated: row.invalidated === 1,
})
