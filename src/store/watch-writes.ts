/** Remembers how writing went, so that a node can say that it is of no use before the next request finds out. */
import { type Db, type Step, StoreUnavailable } from './db.ts'

export interface WatchedDb extends Db {
  /** Whether the last write went well; if not, one is tried now, so that a store that has healed is found out. */
  writable(): Promise<boolean>
}

/** A write that really changes a page, and that nobody reads. */
const PROBE: Step = {
  sql: `INSERT INTO revisions (name, value) VALUES ('probe', 1)
        ON CONFLICT (name) DO UPDATE SET value = revisions.value + 1`,
}

export function watchWrites(db: Db): WatchedDb {
  let failed = false

  async function batch(steps: readonly Step[]): Promise<boolean> {
    try {
      const done = await db.batch(steps)
      failed = false
      return done
    } catch (error) {
      if (error instanceof StoreUnavailable) failed = true
      throw error
    }
  }

  return {
    query: (sql, params) => db.query(sql, params),
    batch,
    close: () => db.close(),
    async writable() {
      if (!failed) return true
      return batch([PROBE]).catch(() => false)
    },
  }
}
