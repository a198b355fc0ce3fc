/**
 * Returns a statement whose only row says in `changed` how many rows `sql` has changed. It fails, and changes nothing, if that is neither
 * `expected` nor 0 (`isRefused` in errors.ts).
 * @param sql INSERT, UPDATE or DELETE without RETURNING
 */
export const refusing = (sql: string, expected: number): string =>
  // A constant division would fail when the statement is planned.
  `WITH done AS (${sql} RETURNING 1)
   SELECT count(*) AS changed, CASE WHEN count(*) IN (0, ${expected}) THEN 0 ELSE 1 / (count(*) * 0) END AS refused FROM done`
