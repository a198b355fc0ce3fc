import { isDeepStrictEqual } from 'node:util'
import type { EpochSeconds } from '../../system.ts'
import { type Client, type ClientSecret, type ClientStore, LANE_MEMBERS } from '../contracts/clients.ts'
import type { New } from '../contracts/update.ts'
import type { Db, Param, Step } from '../db.ts'
import { pruneExpired } from './prune.ts'
import { FIRST_REVISION_SQL, registryChanged, registryRowDeleted } from './revisions.ts'
import { revokeClientBlocks, revokeSessionIndices, statusChanged } from './status.ts'
import { updateRow } from './update.ts'

/** A client, with one of its secrets. A client without secrets is one row whose secret is null. */
interface ClientRow {
  id: string
  disabled: number
  logo: string | null
  metadata: string
  created_at: number
  revision: number
  secret_id: string | null
  hash: string
  secret_created_at: number
  secret_expires_at: number | null
  added_in: number | null
}

export function createClientStore(db: Db): ClientStore {
  /** One statement, so that a client is never returned with the secrets of another revision. */
  async function select(where: string, params: readonly Param[]): Promise<Client[]> {
    const rows = await db.query<ClientRow>(
      `SELECT c.id, c.disabled, c.logo, c.metadata, c.created_at, c.revision, s.id AS secret_id, s.hash,
              s.created_at AS secret_created_at, s.expires_at AS secret_expires_at, s.added_in
         FROM clients c LEFT JOIN client_secrets s ON s.client_id = c.id
        ${where} ORDER BY c.created_at, c.id, s.created_at,
                 CASE WHEN s.expires_at IS NULL THEN 1 ELSE 0 END, s.id`,
      params,
    )
    return group(rows)
  }

  async function find(id: string): Promise<Client | null> {
    const [client] = await select('WHERE c.id = $1', [id])
    return client ?? null
  }

  function write(after: Client, before: Client): Promise<boolean> {
    return db.batch([
      {
        sql: `UPDATE clients SET disabled = $2, logo = $3, metadata = $4, revision = revision + 1
               WHERE id = $1 AND revision = $5`,
        params: [after.id, after.disabled ? 1 : 0, after.logo, metadataOf(after), before.revision],
        expectRows: 1,
      },
      ...secretChanges(after, before),
      ...laneChanges(after, lanesOf(before)),
      registryChanged,
    ])
  }

  return {
    find,

    page: (after, limit) =>
      select(
        `WHERE c.id IN (SELECT id FROM clients WHERE (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3)`,
        [after?.createdAt ?? -1, after?.id ?? '', limit],
      ),

    insert(client) {
      return db.batch([
        {
          sql: `INSERT INTO clients (id, disabled, logo, metadata, created_at, revision)
                VALUES ($1, $2, $3, $4, $5, ${FIRST_REVISION_SQL}) ON CONFLICT (id) DO NOTHING`,
          params: [client.id, client.disabled ? 1 : 0, client.logo, metadataOf(client), client.createdAt],
          expectRows: 1,
        },
        ...client.secrets.map((secret) => putSecret(client.id, secret)),
        ...laneChanges(client, new Set()),
        registryChanged,
      ])
    },

    update(id, change) {
      return updateRow({ find: () => find(id), keep, write }, change)
    },

    async secretUses(id) {
      const rows = await db.query<{ id: string; last_used_at: EpochSeconds }>(
        'SELECT id, last_used_at FROM client_secrets WHERE client_id = $1 AND last_used_at IS NOT NULL',
        [id],
      )
      return new Map(rows.map((row) => [row.id, row.last_used_at]))
    },

    async recordSecretUses(uses) {
      // The order is fixed, so that nodes that write concurrently do not cause a deadlock.
      const ordered = [...uses].sort((a, b) => (a.secretId < b.secretId ? -1 : 1))
      await db.batch(
        ordered.map(({ secretId, at }) => ({
          sql: `UPDATE client_secrets SET last_used_at = $2
                 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)`,
          params: [secretId, at],
        })),
      )
    },

    prune: (before, limit) =>
      pruneExpired(db, { table: 'client_secrets', key: ['id'], end: 'expires_at' }, before, limit),

    delete(id, revision) {
      return db.batch([
        // A session that starts concurrently either exists after this lock, or can no longer start.
        { sql: 'SELECT 1 FROM clients WHERE id = $1', params: [id], lock: true },
        statusChanged,
        revokeSessionIndices('client_id = $1', [id]),
        revokeClientBlocks(id),
        revision === undefined
          ? { sql: 'DELETE FROM clients WHERE id = $1', params: [id], expectRows: 1 }
          : {
              sql: 'DELETE FROM clients WHERE id = $1 AND revision = $2',
              params: [id, revision],
              expectRows: 1,
            },
        registryRowDeleted,
        registryChanged,
      ])
    },
  }
}

const keep = (changed: New<Client>, { id, createdAt }: Client): New<Client> => ({ ...changed, id, createdAt })

/** Only the difference is written, so that a secret that stays keeps the time of its last use. */
function secretChanges(after: Client, before: Client): Step[] {
  const kept = new Set(after.secrets.map(({ id }) => id))
  const gone = before.secrets.filter(({ id }) => !kept.has(id))
  const changed = after.secrets.filter(
    (secret) => !before.secrets.some((earlier) => isDeepStrictEqual(earlier, secret)),
  )
  return [
    ...gone.map(({ id }) => ({ sql: 'DELETE FROM client_secrets WHERE id = $1', params: [id] })),
    ...changed.map((secret) => putSecret(after.id, secret)),
  ]
}

/** The lanes that something for the client is signed in. */
const lanesOf = (client: New<Client>): ReadonlySet<string> =>
  new Set(LANE_MEMBERS.map((member) => client[member]).filter((alg) => alg !== null))

/** Rows that refer to the lanes, so that the database refuses a lane that the ring lacks, and the removal of one that is used. */
function laneChanges(client: New<Client>, before: ReadonlySet<string>): Step[] {
  const after = lanesOf(client)
  return [
    ...[...before]
      .filter((alg) => !after.has(alg))
      .map((alg) => ({
        sql: 'DELETE FROM client_lanes WHERE client_id = $1 AND alg = $2',
        params: [client.id, alg],
      })),
    ...[...after]
      .filter((alg) => !before.has(alg))
      .map((alg) => ({
        sql: 'INSERT INTO client_lanes (client_id, alg) VALUES ($1, $2)',
        params: [client.id, alg],
      })),
  ]
}

/** Of a secret that is stored, only the end can change. */
const putSecret = (clientId: string, { id, hash, createdAt, expiresAt, addedIn }: ClientSecret): Step => ({
  sql: `INSERT INTO client_secrets (id, client_id, hash, created_at, expires_at, added_in)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`,
  params: [id, clientId, hash, createdAt, expiresAt, addedIn],
})

/** Members that no query searches for have no column, so that a new member of Client needs no migration. */
function metadataOf(client: New<Client>): string {
  const { id, secrets, disabled, logo, createdAt, revision, ...metadata } = client as Client
  return JSON.stringify(metadata)
}

function group(rows: readonly ClientRow[]): Client[] {
  const clients: (Client & { secrets: ClientSecret[] })[] = []
  for (const row of rows) {
    if (clients.at(-1)?.id !== row.id) clients.push(toClient(row))
    if (row.secret_id === null) continue
    clients.at(-1)?.secrets.push({
      id: row.secret_id,
      hash: row.hash,
      createdAt: row.secret_created_at,
      expiresAt: row.secret_expires_at,
      addedIn: row.added_in,
    })
  }
  return clients
}

function toClient(row: ClientRow): Client & { secrets: ClientSecret[] } {
  return {
    ...(JSON.parse(row.metadata) as Omit<
      Client,
      'id' | 'secrets' | 'disabled' | 'logo' | 'createdAt' | 'revision'
    >),
    id: row.id,
    secrets: [],
    disabled: row.disabled === 1,
    logo: row.logo,
    createdAt: row.created_at,
    revision: row.revision,
  }
}
