import type { RevisionStore, Revisions } from '../contracts/revisions.ts'
import { REVISIONS_PER_ROW } from '../contracts/update.ts'
import type { Db, Step } from '../db.ts'

export function createRevisionStore(db: Db): RevisionStore {
  /** Callers of the same turn share a query, which has not begun yet, so each gets what was stored before it called. */
  let next: Promise<Revisions> | undefined
  let last: { readonly version: string | undefined; readonly revisions: Revisions } | undefined

  async function look(unlessUnchanged: boolean): Promise<Revisions> {
    // Before the query: what is committed during the query changes the version.
    const version = db.version?.()
    if (unlessUnchanged && version !== undefined && version === last?.version) return last.revisions
    const revisions = await readAll(db)
    last = { version, revisions }
    return revisions
  }

  return {
    read({ unlessUnchanged = false } = {}) {
      next ??= Promise.resolve().then(() => {
        next = undefined
        return look(unlessUnchanged)
      })
      return next
    },
  }
}

async function readAll(db: Db): Promise<Revisions> {
  const [row] = await db.query<{
    ring: number | null
    registry: number
    status: number
    data_keys: number
    logout_due_at: number | null
  }>(
    `SELECT (SELECT version FROM ring WHERE id = 'main') AS ring,
            (SELECT value FROM revisions WHERE name = 'registry') AS registry,
            (SELECT value FROM revisions WHERE name = 'status') AS status,
            (SELECT value FROM revisions WHERE name = 'data_keys') AS data_keys,
            (SELECT min(due_at) FROM logout_outbox) AS logout_due_at`,
  )
  return {
    ring: row?.ring ?? 0,
    registry: row?.registry ?? 0,
    status: row?.status ?? 0,
    dataKeys: row?.data_keys ?? 0,
    logoutDueAt: row?.logout_due_at ?? null,
  }
}

/** The first revision of a new row of the registry. It is higher than any revision of a deleted row with the same name. */
export const FIRST_REVISION_SQL = `(SELECT value + 1 FROM revisions WHERE name = 'deletions')`

/** Must be in every batch that deletes a client, an API or a role. */
export const registryRowDeleted: Step = {
  sql: `UPDATE revisions SET value = value + ${REVISIONS_PER_ROW} WHERE name = 'deletions'`,
}

/** Must be in every batch that changes clients, APIs or roles. */
export const registryChanged: Step = {
  sql: `UPDATE revisions SET value = value + 1 WHERE name = 'registry'`,
  notify: true,
}
