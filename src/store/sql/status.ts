import type { EpochSeconds } from '../../system.ts'
import {
  LIST_SIZE,
  type StatusBlock,
  type StatusIndex,
  type StatusKind,
  type StatusStore,
} from '../contracts/status.ts'
import type { Db, Param, Step } from '../db.ts'
import { pruneExpired } from './prune.ts'

/** The first step of every batch that revokes something: later steps store the new revision. */
export const statusChanged: Step = {
  sql: `UPDATE revisions SET value = value + 1 WHERE name = 'status'`,
  notify: true,
}

const REVISION = `(SELECT value FROM revisions WHERE name = 'status')`

/** Revokes the status indices of the matching sessions. Must come before a step that deletes the sessions. */
export function revokeSessionIndices(where: string, params: readonly Param[]): Step {
  return {
    sql: `INSERT INTO status_entries (list, idx, expires_at, revoked_revision)
          SELECT status_list, status_idx, expires_at, ${REVISION} FROM client_sessions WHERE ${where}
          ON CONFLICT (list, idx) DO NOTHING`,
    params,
  }
}

/** Must follow `statusChanged` in a batch. Changes no row if the index was revoked before. */
export function revokeIndex({ list, idx }: StatusIndex, expiresAt: EpochSeconds): Step {
  return {
    sql: `INSERT INTO status_entries (list, idx, expires_at, revoked_revision) VALUES ($1, $2, $3, ${REVISION})
          ON CONFLICT (list, idx) DO NOTHING`,
    params: [list, idx, expiresAt],
  }
}

export function revokeClientBlocks(clientId: string): Step {
  return {
    sql: `UPDATE status_blocks SET revoked_revision = ${REVISION} WHERE client_id = $1 AND revoked_revision IS NULL`,
    params: [clientId],
  }
}

/** Lists of sessions have even numbers, lists of tokens odd numbers. */
const KINDS: readonly StatusKind[] = ['session', 'token']

export function createStatusStore(db: Db): StatusStore {
  async function cursor(kind: StatusKind): Promise<number> {
    const [row] = await db.query<{ next: number }>(
      'SELECT next_position AS next FROM status_cursors WHERE kind = $1',
      [kind],
    )
    return row?.next ?? 0
  }

  return {
    async lease(kind, size, expiresAt, clientId) {
      for (;;) {
        const current = await cursor(kind)
        // A block never crosses the end of a list. The remaining positions of the list stay unused.
        const start =
          (current % LIST_SIZE) + size > LIST_SIZE ? Math.ceil(current / LIST_SIZE) * LIST_SIZE : current
        const block: StatusBlock = {
          list: Math.floor(start / LIST_SIZE) * KINDS.length + KINDS.indexOf(kind),
          start: start % LIST_SIZE,
          size,
          expiresAt,
        }
        if (await db.batch(leaseSteps(kind, current, start + size, block, clientId))) return block
      }
    },

    revoke: (index, expiresAt) =>
      db.batch([statusChanged, { ...revokeIndex(index, expiresAt), expectRows: 1 }]),

    async revokeClient(clientId) {
      const rows = await db.query(
        'SELECT 1 AS found FROM status_blocks WHERE client_id = $1 AND revoked_revision IS NULL LIMIT 1',
        [clientId],
      )
      if (rows.length > 0) await db.batch([statusChanged, revokeClientBlocks(clientId)])
    },

    async changesSince(revision, now) {
      const [current] = await db.query<{ revision: number }>(`SELECT ${REVISION} AS revision`)
      const nothing = { revision, entries: [], blocks: [] }
      if ((current?.revision ?? 0) === revision) return nothing
      const params = [revision, now]
      const entries = await db.query<StatusIndex>(
        'SELECT list, idx FROM status_entries WHERE revoked_revision > $1 AND expires_at > $2',
        params,
      )
      const blocks = await db.query<StatusBlock>(
        'SELECT list, start, size FROM status_blocks WHERE revoked_revision > $1 AND expires_at > $2',
        params,
      )
      // The revision was read first. Later revocations are reported again next time, which is harmless.
      return { revision: current?.revision ?? 0, entries, blocks }
    },

    async listsInUse(now) {
      const rows = await db.query<{ list: number }>(
        'SELECT list FROM status_lists WHERE expires_at > $1 ORDER BY list',
        [now],
      )
      return rows.map((row) => row.list)
    },

    async startNewLists() {
      await db.batch([
        {
          sql: 'UPDATE status_cursors SET next_position = next_position - next_position % $1 + $1',
          params: [LIST_SIZE],
        },
      ])
    },

    async prune(before, limit) {
      const pruned = await Promise.all([
        pruneExpired(db, { table: 'status_entries', key: ['list', 'idx'], end: 'expires_at' }, before, limit),
        pruneExpired(
          db,
          { table: 'status_blocks', key: ['list', 'start'], end: 'expires_at' },
          before,
          limit,
        ),
        pruneExpired(db, { table: 'status_lists', key: ['list'], end: 'expires_at' }, before, limit),
      ])
      return Math.max(...pruned)
    },
  }
}

function leaseSteps(
  kind: StatusKind,
  current: number,
  next: number,
  block: StatusBlock,
  clientId?: string,
): Step[] {
  const moveCursor: Step = {
    sql: 'UPDATE status_cursors SET next_position = $3 WHERE kind = $1 AND next_position = $2',
    params: [kind, current, next],
    expectRows: 1,
  }
  const keepList: Step = {
    sql: `INSERT INTO status_lists (list, expires_at) VALUES ($1, $2)
          ON CONFLICT (list) DO UPDATE SET expires_at =
            CASE WHEN status_lists.expires_at < excluded.expires_at THEN excluded.expires_at
                 ELSE status_lists.expires_at END`,
    params: [block.list, block.expiresAt],
  }
  if (clientId === undefined) return [moveCursor, keepList]
  const recordBlock: Step = {
    sql: 'INSERT INTO status_blocks (list, start, size, client_id, expires_at) VALUES ($1, $2, $3, $4, $5)',
    params: [block.list, block.start, block.size, clientId, block.expiresAt],
  }
  return [moveCursor, keepList, recordBlock]
}
