import {
  type AuditFilter,
  type AuditHead,
  type AuditRow,
  type AuditStore,
  USER_ACTOR,
  usersOf,
} from '../contracts/audit.ts'
import { type Db, falseOnConflict, type Param, type Step } from '../db.ts'

interface AuditColumns extends Omit<AuditRow, 'clientId'> {
  client_id: string | null
}

interface StateRow {
  seq: number | null
  hash: string
  base_seq: number
  base_hash: string
  accepted_at: number
  mac: string | null
  first_seq: number | null
  last_seq: number | null
}

/** Rows in a statement. The remaining rows are inserted one by one, so that only two statements are prepared. */
const BATCH = 20
const COLUMNS = [
  'seq',
  'since',
  'at',
  'event',
  'actor',
  'sub',
  'client_id',
  'fields',
  'count',
  'hash',
  'ip',
  'target',
] as const
/** Each row has two more parameters: the users whom `ip` and `target` are about. */
const PARAMS = COLUMNS.length + 2

export function createAuditStore(db: Db): AuditStore {
  const batchOrFalse = (steps: Step[]) => falseOnConflict(db.batch(steps))

  return {
    async state() {
      const [row] = await db.query<StateRow>(
        // Two subqueries: for min and max in one query, SQLite would read all rows.
        `SELECT h.seq, h.hash, h.base_seq, h.base_hash, h.accepted_at, h.mac, r.first_seq, r.last_seq
           FROM (SELECT (SELECT min(seq) FROM audit) AS first_seq, (SELECT max(seq) FROM audit) AS last_seq) r
           LEFT JOIN audit_head h ON h.id = 'main'`,
      )
      return {
        head: row && row.seq !== null ? toHead({ ...row, seq: row.seq }) : null,
        firstSeq: row?.first_seq ?? null,
        lastSeq: row?.last_seq ?? 0,
      }
    },

    append: (expected, rows, head) => batchOrFalse([moveHead(expected, head), ...insertRows(rows)]),

    putHead: (head) =>
      batchOrFalse([
        {
          sql: `INSERT INTO audit_head (id, seq, hash, base_seq, base_hash, accepted_at, mac)
                VALUES ('main', $1, $2, $3, $4, $5, $6)`,
          params: valuesOf(head),
          expectRows: 1,
        },
      ]),

    prune: (expected, head) =>
      db.batch([
        moveHead(expected, head),
        { sql: 'DELETE FROM audit WHERE seq > $1 AND seq <= $2', params: [expected.baseSeq, head.baseSeq] },
      ]),

    async addressesOf(userId) {
      const rows = await db.query<{ ip: string }>(
        `SELECT ip FROM audit WHERE actor = $1 AND ip IS NOT NULL
         UNION
         SELECT ip FROM audit WHERE sub = $2 AND ip IS NOT NULL AND ${NOT_BY_A_USER}`,
        [`${USER_ACTOR}${userId}`, userId],
      )
      return rows.map(({ ip }) => ip)
    },

    async eraseAddresses(seqs) {
      if (seqs.length === 0) return
      await db.batch(seqs.map((seq) => ({ sql: 'UPDATE audit SET ip = NULL WHERE seq = $1', params: [seq] })))
    },

    async page(seq, limit) {
      const rows = await db.query<AuditColumns>('SELECT * FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2', [
        seq,
        limit,
      ])
      return rows.map(toRow)
    },

    async find(filter, limit) {
      const { where, params } = matching(filter)
      const rows = await db.query<AuditColumns>(
        `SELECT * FROM audit ${where} ORDER BY at DESC, seq DESC LIMIT $${params.length + 1}`,
        [...params, limit],
      )
      return rows.map(toRow)
    },
  }
}

/** Compares every column, because pruning changes only the beginning of the log and appending only the end. */
export function moveHead(expected: AuditHead, head: AuditHead): Step {
  return {
    sql: `UPDATE audit_head
             SET seq = $1, hash = $2, base_seq = $3, base_hash = $4, accepted_at = $5, mac = $6
           WHERE id = 'main' AND seq = $7 AND hash = $8 AND base_seq = $9 AND base_hash = $10
             AND accepted_at = $11 AND coalesce(mac, '') = $12`,
    params: [...valuesOf(head), ...valuesOf({ ...expected, mac: expected.mac ?? '' })],
    expectRows: 1,
  }
}

const valuesOf = (head: AuditHead): Param[] => [
  head.seq,
  head.hash,
  head.baseSeq,
  head.baseHash,
  head.acceptedAt,
  head.mac,
]

function insertRows(rows: readonly AuditRow[]): Step[] {
  const steps: Step[] = []
  for (let i = 0; i < rows.length; ) {
    const size = rows.length - i >= BATCH ? BATCH : 1
    const values = Array.from({ length: size }, (_, row) => valuesOfRow(row * PARAMS))
    steps.push({
      sql: `INSERT INTO audit (${COLUMNS.join(', ')}) VALUES ${values.join(', ')}`,
      params: rows.slice(i, i + size).flatMap(paramsOf),
      expectRows: size,
    })
    i += size
  }
  return steps
}

/** @param before number of parameters before those of the row */
function valuesOfRow(before: number): string {
  const place = (index: number) => `$${before + index + 1}`
  const plain = COLUMNS.slice(0, -2).map((_, index) => place(index))
  const ifUserExists = (value: number, user: number) =>
    `CASE WHEN CAST(${place(user)} AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM users WHERE id = ${place(user)})
          THEN CAST(${place(value)} AS TEXT) END`
  const [ip, target] = [COLUMNS.length - 2, COLUMNS.length - 1]
  return `(${[...plain, ifUserExists(ip, ip + 2), ifUserExists(target, target + 2)].join(', ')})`
}

/** Then the address is that of the user whom the event is about (`usersOf`). */
const NOT_BY_A_USER = `(actor IS NULL OR actor NOT LIKE '${USER_ACTOR}%')`

/**
 * Erases what the log says about a user, and keeps the rows. Must come before the user is deleted: the head is locked first, as by
 * `append`, so that no row with these values is added in between.
 */
export const eraseUser = (id: string): Step[] => [
  { sql: `SELECT 1 FROM audit_head WHERE id = 'main'`, lock: true },
  { sql: 'UPDATE audit SET target = NULL WHERE sub = $1 AND target IS NOT NULL', params: [id] },
  {
    sql: 'UPDATE audit SET ip = NULL WHERE actor = $1 AND ip IS NOT NULL',
    params: [`${USER_ACTOR}${id}`],
  },
  {
    sql: `UPDATE audit SET ip = NULL WHERE sub = $1 AND ip IS NOT NULL AND ${NOT_BY_A_USER}`,
    params: [id],
  },
]

const paramsOf = (row: AuditRow): Param[] => [
  row.seq,
  row.since,
  row.at,
  row.event,
  row.actor,
  row.sub,
  row.clientId,
  row.fields,
  row.count,
  row.hash,
  row.ip,
  row.target,
  usersOf(row).ip,
  usersOf(row).target,
]

function matching({ since, until, userId, clientId, event, before }: AuditFilter): {
  where: string
  params: Param[]
} {
  const conditions: string[] = []
  const params: Param[] = []
  const add = (value: Param | undefined, condition: (placeholder: string) => string) => {
    if (value === undefined) return
    params.push(value)
    conditions.push(condition(`$${params.length}`))
  }
  add(since, (placeholder) => `at >= ${placeholder}`)
  add(until, (placeholder) => `at < ${placeholder}`)
  add(event, (placeholder) => `event = ${placeholder}`)
  const either = (column: string, value: string | undefined, actor: string) => {
    if (value === undefined) return
    params.push(value, actor)
    conditions.push(`(${column} = $${params.length - 1} OR actor = $${params.length})`)
  }
  if (before) {
    params.push(before.at, before.seq)
    const [at, seq] = [`$${params.length - 1}`, `$${params.length}`]
    conditions.push(`(at < ${at} OR (at = ${at} AND seq < ${seq}))`)
  }
  either('sub', userId, `user:${userId}`)
  either('client_id', clientId, `client:${clientId}`)
  return { where: conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`, params }
}

const toHead = (row: Omit<StateRow, 'seq'> & { seq: number }): AuditHead => ({
  seq: row.seq,
  hash: row.hash,
  baseSeq: row.base_seq,
  baseHash: row.base_hash,
  acceptedAt: row.accepted_at,
  mac: row.mac,
})

const toRow = ({ client_id: clientId, ...row }: AuditColumns): AuditRow => ({
  seq: row.seq,
  since: row.since,
  at: row.at,
  event: row.event,
  actor: row.actor,
  sub: row.sub,
  clientId,
  fields: row.fields,
  ip: row.ip,
  target: row.target,
  count: row.count,
  hash: row.hash,
})
