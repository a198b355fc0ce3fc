import { isDeepStrictEqual } from 'node:util'
import type { Change, New, UpdateOutcome } from '../contracts/update.ts'
import { ConstraintViolation, StoreUnavailable } from '../db.ts'

/** The first revision of a user. Rows of the registry begin with FIRST_REVISION_SQL, because their names can be used again. */
export const FIRST_REVISION = 1

/** Each lost attempt means that another writer was faster. Only writers that never pause could exhaust the attempts. */
const MAX_ATTEMPTS = 100

interface RowAccess<Row> {
  find(): Promise<Row | null>
  /** Returns `changed` with those members of `before` that an update cannot change. */
  keep(changed: New<Row>, before: Row): New<Row>
  /** Writes only if the stored revision is that of `before`; otherwise returns false. */
  write(after: Row, before: Row): Promise<boolean>
}

/**
 * Reads the row, applies the change, and writes the result if the revision is still the one that was read. A writer that loses
 * reads again and applies its change to the newer row.
 * @throws {StoreUnavailable} if other writers were faster in every attempt
 */
export async function updateRow<Row extends { readonly revision: number }>(
  row: RowAccess<Row>,
  change: Change<Row>,
): Promise<UpdateOutcome<Row>> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const before = await row.find()
    if (!before) return { updated: false, reason: 'not_found' }
    const changed = row.keep(await change(before), before)
    const unchanged = { ...changed, revision: before.revision } as Row
    if (isDeepStrictEqual(unchanged, before)) return { updated: true, before, after: before }
    const after = { ...unchanged, revision: before.revision + 1 }
    try {
      if (await row.write(after, before)) return { updated: true, before, after }
    } catch (error) {
      if (!(error instanceof ConstraintViolation)) throw error
      // The conflict may come from a faster writer, so it is reported only if the row is still as it was read.
      const reread = await row.find()
      if (reread?.revision === before.revision) return { updated: false, reason: 'conflict' }
    }
  }
  throw new StoreUnavailable(new Error('other writers won every attempt to change the row'))
}
