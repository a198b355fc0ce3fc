/** Texts of statements that do the work of a batch, or of several. Must not know any table. */
import type { RowKey } from '../db.ts'

/**
 * Returns a statement whose only row says in `changed` how many rows `sql` has changed. It fails, and changes nothing, if that is neither
 * `expected` nor 0 (`isRefused` in errors.ts).
 * @param sql INSERT, UPDATE or DELETE without RETURNING
 */
export const refusing = (sql: string, expected: number): string =>
  // A constant division would fail when the statement is planned.
  `WITH done AS (${sql} RETURNING 1)
   SELECT count(*) AS changed, CASE WHEN count(*) IN (0, ${expected}) THEN 0 ELSE 1 / (count(*) * 0) END AS refused FROM done`

/** Returns a query that finds what `sql` finds for each of `count` keys. @param sql with `IN ($1)` and no other parameter */
export const forKeys = (sql: string, count: number): string =>
  sql.replace('IN ($1)', `IN (${Array.from({ length: count }, (_, i) => `$${i + 1}`).join(', ')})`)

/**
 * Returns a statement that carries out `sql` for `count` rows, each with parameters of its own, one after the other. Its only row says in
 * `changed` how many of them it has changed, as digits: 1 or 0 for each. A row that another transaction has locked is not changed, so that
 * nothing waits for it, and two such statements never wait for each other.
 * @param sql an UPDATE whose condition can be continued with AND
 */
export function forRows(sql: string, { table, key }: RowKey, params: number, count: number): string {
  const free = `${key} IN (SELECT ${key} FROM ${table} WHERE ${key} = $1 FOR NO KEY UPDATE SKIP LOCKED)`
  const rows = Array.from({ length: count }, (_, i) => renumber(`${sql} AND ${free}`, i * params))
  const parts = rows.map((row, i) => `done${i} AS (${row} RETURNING 1)`)
  const counts = rows.map((_, i) => `(SELECT count(*) FROM done${i})`)
  return `WITH ${parts.join(', ')} SELECT concat(${counts.join(', ')}) AS changed`
}

const renumber = (sql: string, by: number): string =>
  sql.replace(/\$(\d+)/g, (_, number: string) => `$${Number(number) + by}`)
