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

/** The text of a statement for so many keys or rows. */
export type TextFor = (count: number) => string

/**
 * Returns queries that find what `sql` finds for each of several keys.
 * @throws {Error} if what `sql` finds for a key is not certain to be found in this way
 */
export function forKeys(sql: string): TextFor {
  const [before = '', after, ...more] = sql.split('IN ($1)')
  if (after === undefined || more.length > 0 || /\$\d|\b(LIMIT|OFFSET)\b/i.test(before + after))
    throw new Error(`a query with a key must have one IN ($1), no other parameter and no limit: ${sql}`)
  return keptBySize((count) => `${before}IN (${numbers(count).map((i) => `$${i + 1}`)})${after}`)
}

export interface RowsStatement {
  readonly textFor: TextFor
  /** How many parameters each row has. */
  readonly params: number
}

/**
 * Returns statements that carry out `sql` for several rows, each with parameters of its own. Their only row says in `changed` which of them
 * they have changed, as digits: 1 or 0 for each. A row that another transaction has locked is not changed, nor is a row a second time. So
 * nothing waits for them, and two such statements never wait for each other. They fail if a key names two rows.
 * @throws {Error} if `sql` may change other rows than the one with the key
 */
export function forRows(sql: string, { table, key }: RowKey): RowsStatement {
  const form = new RegExp(`^\\s*UPDATE ${table}\\s+SET\\s.*\\sWHERE ${key} = \\$1(\\s+AND\\s.*)?$`, 's')
  if (!form.test(sql) || /\b(OR|RETURNING)\b|\bWHERE\b.*\bWHERE\b/is.test(sql))
    throw new Error(
      `a step with a row must be UPDATE ${table} SET … WHERE ${key} = $1 AND …, without OR: ${sql}`,
    )
  const params = Math.max(...Array.from(sql.matchAll(PARAMETER), ([, number]) => Number(number)))
  const free = `${key} = (SELECT ${key} FROM ${table} WHERE ${key} = $1 FOR NO KEY UPDATE SKIP LOCKED)`
  const textFor = keptBySize((count) => {
    const parts = numbers(count).map(
      (i) => `done${i} AS (${renumber(`${sql} AND ${free}`, i * params)} RETURNING 1)`,
    )
    return `WITH ${parts} SELECT concat(${numbers(count).map((i) => `(SELECT count(*) FROM done${i})`)}) AS changed`
  })
  return { textFor, params }
}

const PARAMETER = /\$(\d+)/g

const renumber = (sql: string, by: number): string =>
  sql.replace(PARAMETER, (_, number: string) => `$${Number(number) + by}`)

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

/** A text for many rows is long, and there are few sizes. */
function keptBySize(make: TextFor): TextFor {
  const texts: string[] = []
  return (count) => {
    texts[count] ??= make(count)
    return texts[count]
  }
}
