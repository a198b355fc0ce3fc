/**
 * Updates of clients, APIs, roles and users. Every such row has a `revision`, which the store sets and increments with each
 * change. An update is a compare-and-swap on the revision, so a writer that has read an older row never overwrites an acknowledged
 * change. Must not know what a row contains.
 */

/** The least distance between the first revision of a row and that of a row which gets its name after it was deleted. No row is changed this often. */
export const REVISIONS_PER_ROW = 1_000_000

/** Whether two revisions under one name are of one row, and not of a row that was deleted and another one that was created. */
export const isSameRow = (one: number, other: number): boolean =>
  Math.floor(one / REVISIONS_PER_ROW) === Math.floor(other / REVISIONS_PER_ROW)

/** A row that is not stored yet. */
export type New<Row> = Omit<Row, 'revision'>

/**
 * Returns the changed row. If another writer was faster, the store calls the function again with the newer row. So it must copy
 * all members that it does not change from `current`, and must not have side effects. If it throws, nothing is changed: a caller
 * that requires the row that it has read (RFC 9110 §13.1.1, `If-Match`) compares `current.revision` and throws.
 */
export type Change<Row> = (current: Row) => New<Row> | Promise<New<Row>>

export type UpdateOutcome<Row> =
  /** `before` and `after` are the same object if the row did not change; then nothing was written. */
  | { readonly updated: true; readonly before: Row; readonly after: Row }
  /** `conflict`: a unique value is taken by another row, or a reference points to no row. */
  | { readonly updated: false; readonly reason: 'not_found' | 'conflict' }

/** The type of `update` in the contracts of these rows. */
export type Update<Row> = (key: string, change: Change<Row>) => Promise<UpdateOutcome<Row>>
