/**
 * How a row of the registry (a client, an API, a role, a user) changes, whoever changes it. Every such row has a `revision`,
 * which the store sets to 1 and increases by one with each change. An update is a compare-and-swap on the revision, so a change
 * that was acknowledged is never overwritten by the copy of a writer that had read the row before. Must not know what a row is.
 */

/** A row that is not stored yet. */
export type New<Row> = Omit<Row, 'revision'>

/**
 * What the row is to become. The store calls the change again with the newer row if another writer was faster, so the change
 * must derive everything that it does not mean to change from `current`, and must not have effects of its own. A change that
 * throws changes nothing: so a caller that insists on the row that it has seen (RFC 9110 §13.1.1, `If-Match`) compares
 * `current.revision` and throws.
 */
export type Change<Row> = (current: Row) => New<Row> | Promise<New<Row>>

export type UpdateOutcome<Row> =
  /** `before` and `after` are the same object if the change left everything as it was: then nothing was written. */
  | { readonly updated: true; readonly before: Row; readonly after: Row }
  /** `conflict`: a value belongs to another row, or names a row that does not exist. */
  | { readonly updated: false; readonly reason: 'not_found' | 'conflict' }

/** The shape of the verb `update` in the contracts of the registry. */
export type Update<Row> = (key: string, change: Change<Row>) => Promise<UpdateOutcome<Row>>
