/** Fills a store with many users and sessions, with timestamps of the last few days. */
import type { Keys } from '../src/keys/index.ts'
import type { Base } from '../src/node/base.ts'
import type { Db, Param, Step } from '../src/store/db.ts'
import type { Store } from '../src/store/index.ts'
import { type EpochSeconds, systemRandom } from '../src/system.ts'
import { createRefreshTokenCodec } from '../src/tokens/refresh-token.ts'
import type { Scenario } from './measure.ts'
import { API, CLIENT_ID, ROLE, SCOPE } from './subject.ts'

export const SESSIONS_PER_USER = 10
const ROWS_PER_INSERT = 500
/** A commit writes every changed page of an index; in a large index that is almost every page, so commits are large. */
const ROWS_PER_COMMIT = 100_000
const DAY = 86_400

/** What the stored users and sessions refer to. All of it must exist. */
export interface Registered {
  readonly clientId: string
  readonly scope: string
  readonly audience: string
  /** Role of the users. */
  readonly role: string
  /** User whose password hash is copied, because a hash takes longer than everything else. */
  readonly username: string
}

const BENCH: Registered = {
  clientId: CLIENT_ID,
  scope: SCOPE,
  audience: API,
  role: ROLE,
  username: 'bench-0',
}

/** @returns the ids of the first `returned` sessions, all with generation 1 */
export async function storeSessions(
  store: Store,
  now: EpochSeconds,
  count: number,
  returned: number,
  registered: Registered = BENCH,
): Promise<string[]> {
  const { clientId, scope, audience, role, username } = registered
  const passwordHash = (await store.users.findByUsername(username))?.passwordHash ?? ''
  const { list, start } = await store.status.lease('session', count, now + 30 * DAY)
  const users = Array.from({ length: Math.ceil(count / SESSIONS_PER_USER) }, () => systemRandom.id())
  await insert(
    store.db,
    'users (id, username, email, email_verified, password_hash, disabled, created_at, updated_at, revision)',
    users.map((id, i) => [id, `user-${i}`, `user-${i}@example.test`, 0, passwordHash, 0, now, now, 1]),
  )
  await insert(
    store.db,
    'user_roles (user_id, role)',
    users.map((id) => [id, role]),
  )
  const ids: string[] = []
  const columns = `client_sessions (id, client_id, user_id, scope, audience, generation, rotated_at, created_at, auth_time,
                             expires_at, idle_expires_at, status_list, status_idx, amr, userinfo_claims, offline, backchannel_logout,
                             bound_from)`
  const indexes = await dropIndexes(store.db, 'client_sessions')
  for (let first = 0; first < count; first += ROWS_PER_COMMIT) {
    const rows = Array.from({ length: Math.min(ROWS_PER_COMMIT, count - first) }, (_, i): Param[] => {
      const id = systemRandom.id()
      if (ids.length < returned) ids.push(id)
      // From the last six days, so that no session expires during the measurement.
      const createdAt = now - Math.floor(Math.random() * 6 * DAY)
      const owner = users[Math.floor(Math.random() * users.length)] ?? ''
      const ends = [createdAt + 30 * DAY, createdAt + 7 * DAY]
      return [
        id,
        clientId,
        owner,
        scope,
        audience,
        1,
        createdAt,
        createdAt,
        createdAt,
        ...ends,
        list,
        start + first + i,
        'pwd',
        '',
        0,
        0,
        0,
      ]
    })
    await insert(store.db, columns, rows)
  }
  await store.db.batch(
    indexes.map((sql) => ({ sql })),
    { noTimeout: true },
  )
  return ids
}

export interface StoredSessions {
  /** Stores the sessions; for {@link KeyturnOptions}. */
  readonly fill: (base: Base, keys: Keys) => Promise<void>
  /** Refreshes the sessions, one after the other. */
  readonly scenario: Scenario
}

/**
 * Sessions that are in the store before a server starts, so that no round needs sign-ins.
 * @param count how many of them are refreshed, spread over the whole store; each connection loses one when its round ends
 */
export function storedSessions(count: number, total = count): StoredSessions {
  const tokens: string[] = []
  return {
    async fill({ store, clock }, { dataKeys }) {
      const ids = await storeSessions(store, clock.now(), total, count)
      const codec = createRefreshTokenCodec(dataKeys)
      tokens.push(...ids.map((clientSessionId) => codec.write({ clientSessionId, generation: 1 })))
    },
    scenario: refreshAllSessions(tokens),
  }
}

/** Uses the tokens one after the other, and appends each new refresh token. */
function refreshAllSessions(tokens: string[]): Scenario {
  return {
    name: 'refresh_token',
    prepare: async () => (client) =>
      client.setRequests([
        {
          setupRequest: (request) => ({
            ...request,
            body: `grant_type=refresh_token&refresh_token=${tokens.shift()}`,
          }),
          onResponse: (_status, body) => {
            const token = /"refresh_token":"([^"]+)"/.exec(body)?.[1]
            if (token) tokens.push(token)
          },
        },
      ]),
  }
}

async function insert(db: Db, target: string, rows: readonly (readonly Param[])[]): Promise<void> {
  const steps: Step[] = []
  for (let first = 0; first < rows.length; first += ROWS_PER_INSERT) {
    const chunk = rows.slice(first, first + ROWS_PER_INSERT)
    let n = 0
    const values = chunk.map((row) => `(${row.map(() => `$${++n}`).join(', ')})`).join(', ')
    steps.push({ sql: `INSERT INTO ${target} VALUES ${values}`, params: chunk.flat() })
  }
  await db.batch(steps, { noTimeout: true })
}

/** Indexes are much faster to create from all rows at once. @returns the SQL that creates them again */
async function dropIndexes(db: Db, table: string): Promise<string[]> {
  const indexes = await db
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
  await db.batch(indexes.map(({ name }) => ({ sql: `DROP INDEX ${name}` })))
  return indexes.map(({ sql }) => sql)
}
