/** Tracks failures of the store, so that a node reports that it is not ready before the next request fails. */
import { type BatchOptions, type Db, type Step, StoreDamaged, StoreUnavailable } from './db.ts'

export interface MonitoredDb extends Db {
  /**
   * Why the store cannot be used, for the log; null if it can. If the last write failed, this tries another write, so that a store
   * that works again is noticed.
   */
  problem(): Promise<string | null>
}

/** A write that changes a page. No one reads the row. */
const PROBE: Step = {
  sql: `INSERT INTO revisions (name, value) VALUES ('probe', 1)
        ON CONFLICT (name) DO UPDATE SET value = revisions.value + 1`,
}

export function monitorDb(db: Db): MonitoredDb {
  let damaged = false
  let failed = false

  function note(error: unknown): never {
    if (error instanceof StoreDamaged) damaged = true
    throw error
  }

  async function batch(steps: readonly Step[], options?: BatchOptions): Promise<boolean> {
    try {
      const done = await db.batch(steps, options)
      failed = false
      return done
    } catch (error) {
      if (error instanceof StoreUnavailable) failed = true
      return note(error)
    }
  }

  db.integrityChecked?.catch(note).catch(() => {})

  return {
    query: (...query) => db.query<never>(...query).catch(note),
    batch,
    ...(db.pool ? { pool: db.pool } : {}),
    ...(db.time ? { time: db.time } : {}),
    ...(db.version ? { version: db.version } : {}),
    ...(db.scrub ? { scrub: db.scrub } : {}),
    ...(db.changes ? { changes: db.changes } : {}),
    ...(db.integrityChecked ? { integrityChecked: db.integrityChecked } : {}),
    close: () => db.close(),
    async problem() {
      if (failed) await batch([PROBE]).catch(() => {})
      if (damaged) return 'the store is damaged'
      return failed ? 'the store cannot be written' : null
    },
  }
}
