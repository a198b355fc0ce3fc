/** A store as years of sign-ins leave it: as many sessions as asked for, and the people they belong to. */
import type { Db, Param, Step } from '../src/store/db.ts'
import type { Store } from '../src/store/index.ts'
import { type EpochSeconds, systemRandom } from '../src/system.ts'
import { API, CLIENT_ID, ROLE, SCOPE } from './subject.ts'

/** Sessions of one person. */
export const EACH = 10
const ROWS = 500
/** In one commit: each writes every page of an index that it has touched, and in a large index that is nearly all. */
const COMMIT = 100_000
const DAY = 86_400

/** @returns the ids of the sessions that were stored first, all of generation 1 */
export async function storeSessions(
  store: Store,
  now: EpochSeconds,
  count: number,
  known: number,
): Promise<string[]> {
  const passwordHash = (await store.users.findByUsername('bench-0'))?.passwordHash ?? ''
  const { list, start } = await store.status.lease('session', count, now + 30 * DAY)
  const users = Array.from({ length: Math.ceil(count / EACH) }, () => systemRandom.id())
  await insert(
    store.db,
    'users (id, username, email, password_hash, disabled, created_at, updated_at)',
    users.map((id, i) => [id, `user-${i}`, `user-${i}@example.test`, passwordHash, 0, now, now]),
  )
  await insert(
    store.db,
    'user_roles (user_id, role)',
    users.map((id) => [id, ROLE]),
  )
  const ids: string[] = []
  const columns = `sessions (id, client_id, user_id, scope, audience, generation, rotated_at, created_at, auth_time,
                             expires_at, idle_expires_at, status_list, status_idx, amr)`
  const indexes = await dropIndexes(store.db, 'sessions')
  for (let first = 0; first < count; first += COMMIT) {
    const rows = Array.from({ length: Math.min(COMMIT, count - first) }, (_, i): Param[] => {
      const id = systemRandom.id()
      if (ids.length < known) ids.push(id)
      // Of the last six days, so that none ends while it is looked at.
      const at = now - Math.floor(Math.random() * 6 * DAY)
      const owner = users[Math.floor(Math.random() * users.length)] ?? ''
      const end = [at + 30 * DAY, at + 7 * DAY]
      return [id, CLIENT_ID, owner, SCOPE, API, 1, at, at, at, ...end, list, start + first + i, 'pwd']
    })
    await insert(store.db, columns, rows)
  }
  await store.db.batch(
    indexes.map((sql) => ({ sql })),
    { noTimeout: true },
  )
  return ids
}

async function insert(db: Db, into: string, rows: readonly (readonly Param[])[]): Promise<void> {
  const steps: Step[] = []
  for (let first = 0; first < rows.length; first += ROWS) {
    const some = rows.slice(first, first + ROWS)
    let n = 0
    const values = some.map((row) => `(${row.map(() => `$${++n}`).join(', ')})`).join(', ')
    steps.push({ sql: `INSERT INTO ${into} VALUES ${values}`, params: some.flat() })
  }
  await db.batch(steps, { noTimeout: true })
}

/** @returns what makes them anew: from all rows at once they take a fraction of the time */
async function dropIndexes(db: Db, table: string): Promise<string[]> {
  const found = await db
    .query<{ name: string; sql: string }>(
      `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = $1 AND sql IS NOT NULL`,
      [table],
    )
    .catch(() =>
      db.query<{ name: string; sql: string }>(
        `SELECT indexname AS name, indexdef AS sql FROM pg_indexes
          WHERE tablename = $1 AND indexname LIKE $1 || '_by_%'`,
        [table],
      ),
    )
  await db.batch(found.map(({ name }) => ({ sql: `DROP INDEX ${name}` })))
  return found.map(({ sql }) => sql)
}
