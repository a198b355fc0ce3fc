import type { EpochSeconds } from '../../system.ts'
import type {
  ClientSession,
  ClientSessionFilter,
  ClientSessionStore,
  Owners,
} from '../contracts/client-sessions.ts'
import { type Db, falseOnConflict, type Param, type Step } from '../db.ts'
import { pruneExpired } from './prune.ts'
import { revokeSessionIndices, statusChanged } from './status.ts'
import { findWithUser } from './user-rows.ts'

interface ClientSessionRow {
  id: string
  client_id: string
  user_id: string
  scope: string
  audience: string
  generation: number
  rotated_at: number
  created_at: number
  auth_time: number
  expires_at: number
  idle_expires_at: number
  revoked_at: number | null
  revoked_reason: string | null
  status_list: number
  status_idx: number
  user_session_id: string | null
  amr: string
  userinfo_claims: string
  offline: number
  backchannel_logout: number
  confirmation: string | null
  bound_from: number
}

export function createClientSessionStore(db: Db): ClientSessionStore {
  return {
    async insert(session, owners) {
      return falseOnConflict(db.batch(insertClientSession(session, owners)))
    },

    async find(id) {
      const [row] = await db.query<ClientSessionRow>('SELECT * FROM client_sessions WHERE id = $1', [id])
      return row ? toClientSession(row) : null
    },

    async findWithUser(id) {
      const found = await findWithUser<ClientSessionRow>(db, 'client_sessions', 'id', id)
      return found && { session: toClientSession(found.row), user: found.user }
    },

    rotate(id, generation, now, idleExpiresAt, bind = null) {
      const bound = bind === null ? '' : ', confirmation = $5, bound_from = $2 + 1'
      return db.batch([
        {
          sql: `UPDATE client_sessions SET generation = generation + 1, rotated_at = $3, idle_expires_at = $4${bound}
                 WHERE id = $1 AND generation = $2 AND revoked_at IS NULL`,
          params: [id, generation, now, idleExpiresAt, ...(bind === null ? [] : [JSON.stringify(bind)])],
          expectRows: 1,
          row: { table: 'client_sessions', key: 'id' },
        },
      ])
    },

    extend(id, generation, idleExpiresAt) {
      return db.batch([
        {
          sql: `UPDATE client_sessions
                   SET idle_expires_at = CASE WHEN idle_expires_at > $3 THEN idle_expires_at ELSE $3 END
                 WHERE id = $1 AND generation = $2 AND revoked_at IS NULL`,
          params: [id, generation, idleExpiresAt],
          expectRows: 1,
        },
      ])
    },

    replaceStatus(id, expected, replacement) {
      const where = 'id = $1 AND status_list = $2 AND status_idx = $3'
      return db.batch([
        statusChanged,
        revokeSessionIndices(where, [id, expected.list, expected.idx]),
        {
          sql: `UPDATE client_sessions SET status_list = $4, status_idx = $5 WHERE ${where} AND revoked_at IS NULL`,
          params: [id, expected.list, expected.idx, replacement.list, replacement.idx],
          expectRows: 1,
        },
      ])
    },

    revoke(id, now, reason) {
      return db.batch([statusChanged, ...revokeSessionSteps(id, now, reason)])
    },

    async revokeMatching(filter, now, reason) {
      const { where, params } = matching(filter)
      for (;;) {
        const rows = await db.query<{ id: string }>(
          `SELECT id FROM client_sessions ${where} AND revoked_at IS NULL`,
          params,
        )
        const revoked = await db.batch([
          // Codes are revoked first: the batch waits for a concurrent redemption, whose session is then found below. A single
          // session has no unused code, because it started when its code was used.
          ...(filter.id === undefined ? [revokeCodes(where, params, now)] : []),
          ...(rows.length > 0 ? [statusChanged] : []),
          ...rows.flatMap(({ id }) => revokeSessionSteps(id, now, reason)),
          // If a session ended or started since the sessions were read, the batch is rolled back, and they are read again.
          {
            sql: `UPDATE client_sessions SET revoked_at = $${params.length + 1} ${where} AND revoked_at IS NULL`,
            params: [...params, now],
            expectRows: 0,
          },
        ])
        if (revoked) return rows.map((row) => row.id)
      }
    },

    async list(filter, limit, after) {
      const { where, params } = matching(filter)
      const [first, second] = [`$${params.length + 2}`, `$${params.length + 3}`]
      const rest = after ? `AND (created_at < ${first} OR created_at = ${first} AND id > ${second})` : ''
      const rows = await db.query<ClientSessionRow>(
        `SELECT * FROM client_sessions ${where} ${rest} ORDER BY created_at DESC, id LIMIT $${params.length + 1}`,
        [...params, limit, ...(after ? [after.createdAt, after.id] : [])],
      )
      return rows.map(toClientSession)
    },

    prune: (before, limit) =>
      pruneExpired(
        db,
        { table: 'client_sessions', key: ['id'], end: 'idle_expires_at', hour: 'end_hour' },
        before,
        limit,
      ),
  }
}

export function insertClientSession(session: ClientSession, owners?: Owners): Step[] {
  const insert: Step = {
    sql: `INSERT INTO client_sessions (id, client_id, user_id, scope, audience, generation, rotated_at, created_at,
                                auth_time, expires_at, idle_expires_at, revoked_at, revoked_reason, status_list,
                                status_idx, user_session_id, amr, userinfo_claims, offline, backchannel_logout,
                                confirmation, bound_from)
          SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22${owners ? ` WHERE ${unchangedOwners(23)}` : ''}`,
    params: [
      session.id,
      session.clientId,
      session.userId,
      session.scopes.join(' '),
      session.audience,
      session.generation,
      session.rotatedAt,
      session.createdAt,
      session.authTime,
      session.expiresAt,
      session.idleExpiresAt,
      session.revokedAt,
      session.revokedReason,
      session.status.list,
      session.status.idx,
      session.userSessionId,
      session.amr.join(' '),
      session.userinfoClaims.join(' '),
      session.offline ? 1 : 0,
      session.backchannelLogout ? 1 : 0,
      session.confirmation && JSON.stringify(session.confirmation),
      session.boundFrom,
      ...ownerParams(owners),
    ],
    expectRows: 1,
  }
  return [...lockOwners(owners), insert]
}

/** No other batch changes the owners until the end of the batch, so a change that comes later finds what the batch inserts. */
export function lockOwners(owners: Owners | undefined): Step[] {
  if (!owners) return []
  return [
    { sql: 'SELECT 1 FROM clients WHERE id = $1', params: [owners.client.id], lock: 'share' },
    { sql: 'SELECT 1 FROM users WHERE id = $1', params: [owners.user.id], lock: 'share' },
  ]
}

/** A condition on four parameters, of which the first has this number. */
export const unchangedOwners = (first: number): string =>
  `EXISTS (SELECT 1 FROM clients WHERE id = $${first} AND revision = $${first + 1})
      AND EXISTS (SELECT 1 FROM users WHERE id = $${first + 2} AND revision = $${first + 3})`

export const ownerParams = (owners: Owners | undefined): Param[] =>
  owners ? [owners.client.id, owners.client.revision, owners.user.id, owners.user.revision] : []

/**
 * Revokes the session and its status index, and puts the client into the logout outbox. Must follow `statusChanged` in a batch.
 */
export function revokeSessionSteps(id: string, now: EpochSeconds, reason: string): Step[] {
  return [
    revokeSessionIndices('id = $1', [id]),
    enqueueLogout('id = $1', [id], now),
    {
      sql: 'UPDATE client_sessions SET revoked_at = $2, revoked_reason = $3 WHERE id = $1 AND revoked_at IS NULL',
      params: [id, now, reason],
      expectRows: 1,
    },
  ]
}

/** Puts the clients of these sessions into the logout outbox, if they want logout tokens and the session is not revoked. */
export function enqueueLogout(where: string, params: readonly Param[], now: EpochSeconds): Step {
  return {
    sql: `INSERT INTO logout_outbox (client_session_id, client_id, user_id, attempts, due_at)
          SELECT id, client_id, user_id, 0, $${params.length + 1} FROM client_sessions
           WHERE backchannel_logout = 1 AND revoked_at IS NULL AND (${where})
          ON CONFLICT (client_session_id) DO NOTHING`,
    params: [...params, now],
  }
}

function revokeCodes(where: string, params: readonly Param[], now: EpochSeconds): Step {
  return {
    sql: `UPDATE authorization_codes SET revoked_at = $${params.length + 1} ${where} AND used_at IS NULL AND revoked_at IS NULL`,
    params: [...params, now],
  }
}

function matching(filter: ClientSessionFilter): { where: string; params: Param[] } {
  const conditions = ['1 = 1']
  const params: Param[] = []
  const columns = {
    id: filter.id,
    user_id: filter.userId,
    client_id: filter.clientId,
    user_session_id: filter.userSessionId,
  }
  for (const [column, value] of Object.entries(columns)) {
    if (value === undefined) continue
    params.push(value)
    conditions.push(`${column} = $${params.length}`)
  }
  return { where: `WHERE ${conditions.join(' AND ')}`, params }
}

function toClientSession(row: ClientSessionRow): ClientSession {
  return {
    id: row.id,
    clientId: row.client_id,
    userId: row.user_id,
    scopes: row.scope.split(' ').filter(Boolean),
    audience: row.audience,
    generation: row.generation,
    rotatedAt: row.rotated_at,
    createdAt: row.created_at,
    authTime: row.auth_time,
    expiresAt: row.expires_at,
    idleExpiresAt: row.idle_expires_at,
    revokedAt: row.revoked_at,
    revokedReason: row.revoked_reason,
    status: { list: row.status_list, idx: row.status_idx },
    userSessionId: row.user_session_id,
    amr: row.amr.split(' ').filter(Boolean),
    userinfoClaims: row.userinfo_claims.split(' ').filter(Boolean),
    offline: row.offline === 1,
    backchannelLogout: row.backchannel_logout === 1,
    confirmation: row.confirmation === null ? null : JSON.parse(row.confirmation),
    boundFrom: row.bound_from,
  }
}
