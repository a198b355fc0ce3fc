import type { Resealing, RootStore, StoredRoot } from '../contracts/data-keys.ts'
import { LIST_SIZE } from '../contracts/status.ts'
import { type Db, type Step, unlessTaken } from '../db.ts'

interface RootRow {
  number: number
  sealed: string
  made_at: number
  writes_from: number
  lists_from: number
  voided: number
}

const rootsChanged: Step = {
  sql: `UPDATE revisions SET value = value + 1 WHERE name = 'roots'`,
  announce: true,
}

export function createRootStore(db: Db): RootStore {
  return {
    async list() {
      const rows = await db.query<RootRow>('SELECT * FROM roots ORDER BY number')
      return rows.map(toRoot)
    },

    async create(first) {
      return unlessTaken(
        db.batch([
          rootsChanged,
          {
            sql: `INSERT INTO roots (number, sealed, made_at, writes_from, lists_from, voided)
                  SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS BIGINT),
                         CAST($5 AS BIGINT), CAST($6 AS BIGINT)
                   WHERE NOT EXISTS (SELECT 1 FROM roots)`,
            params: [
              first.number,
              first.sealed,
              first.madeAt,
              first.writesFrom,
              first.listsFrom,
              first.voided ? 1 : 0,
            ],
            rows: 1,
          },
        ]),
      )
    },

    reseal: (change) => db.batch(resealing(change)),

    async voidBefore(number) {
      await db.batch([
        rootsChanged,
        { sql: 'UPDATE roots SET voided = 1 WHERE number < $1', params: [number] },
      ])
    },

    remove: (number) =>
      db.batch([
        rootsChanged,
        {
          sql: 'DELETE FROM roots WHERE number = $1 AND number < (SELECT MAX(number) FROM roots)',
          params: [number],
          rows: 1,
        },
      ]),

    async dependents(number, before, now) {
      const count = async (sql: string, ...params: number[]) =>
        Number((await db.query<{ count: number }>(`SELECT COUNT(*) AS count FROM ${sql}`, params))[0]?.count)
      return {
        sessions: await count(
          `sessions WHERE rotated_at <= $1 AND revoked_at IS NULL
              AND idle_expires_at > $2 AND expires_at > $2`,
          before,
          now,
        ),
        secondFactors: await count('totp_secrets WHERE root < $1', number),
        recoveryCodes: await count(
          '(SELECT DISTINCT user_id FROM recovery_codes WHERE root < $1) AS people',
          number,
        ),
        statusBlocks: await count(
          `status_blocks WHERE expires_at > $2
              AND list < (SELECT lists_from FROM roots WHERE number = $1)`,
          number,
          now,
        ),
      }
    },
  }
}

function resealing({ ring, keys, roots, sealed, fresh, voids = false }: Resealing): Step[] {
  const before = new Map(ring.keys.map((key) => [key.kid, key.sealed]))
  return [
    {
      sql: `UPDATE ring SET version = version + 1 WHERE id = 'main' AND version = $1`,
      params: [ring.version],
      rows: 1,
      announce: true,
    },
    ...[...keys].map(([kid, text]) => ({
      sql: 'UPDATE ring_keys SET sealed = $2 WHERE kid = $1 AND sealed = $3',
      params: [kid, text, before.get(kid) ?? null],
      rows: 1,
    })),
    rootsChanged,
    ...roots.map((root) => ({
      sql: 'UPDATE roots SET sealed = $2, voided = $4 WHERE number = $1 AND sealed = $3',
      params: [root.number, sealed.get(root.number) ?? null, root.sealed, voids || root.voided ? 1 : 0],
      rows: 1,
    })),
    ...(fresh ? beginning(fresh) : []),
  ]
}

/** Both kinds of lists go on at the same place, so that one number parts the lists of this root from those before. */
function beginning({ number, sealed, madeAt, writesFrom }: NonNullable<Resealing['fresh']>): Step[] {
  return [
    { sql: 'SELECT next_position FROM status_cursors', lock: true },
    {
      sql: `UPDATE status_cursors
               SET next_position = (SELECT MAX(next_position) - MAX(next_position) % $1 + $1 FROM status_cursors)`,
      params: [LIST_SIZE],
    },
    {
      sql: `INSERT INTO roots (number, sealed, made_at, writes_from, lists_from, voided)
            VALUES ($1, $2, $3, $4, (SELECT MAX(next_position) / ${LIST_SIZE} * 2 FROM status_cursors), 0)`,
      params: [number, sealed, madeAt, writesFrom],
      rows: 1,
    },
  ]
}

const toRoot = (row: RootRow): StoredRoot => ({
  number: row.number,
  sealed: row.sealed,
  madeAt: row.made_at,
  writesFrom: row.writes_from,
  listsFrom: row.lists_from,
  voided: row.voided === 1,
})
