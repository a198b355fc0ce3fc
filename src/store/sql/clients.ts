import type { Client, ClientStore } from '../contracts/clients.ts'
import type { New } from '../contracts/update.ts'
import type { Db } from '../db.ts'
import { FIRST_REVISION_SQL, registryChanged, registryRowDeleted } from './revisions.ts'
import { revokeClientBlocks, revokeSessionIndices, statusChanged } from './status.ts'
import { updateRow } from './update.ts'

interface ClientRow {
  id: string
  secret_hash: string | null
  disabled: number
  metadata: string
  created_at: number
  revision: number
}

const COLUMNS = 'id, secret_hash, disabled, metadata, created_at, revision'

export function createClientStore(db: Db): ClientStore {
  async function find(id: string): Promise<Client | null> {
    const [row] = await db.query<ClientRow>(`SELECT ${COLUMNS} FROM clients WHERE id = $1`, [id])
    return row ? toClient(row) : null
  }

  function write(after: Client, { revision }: Client): Promise<boolean> {
    return db.batch([
      {
        sql: `UPDATE clients SET secret_hash = $2, disabled = $3, metadata = $4, revision = revision + 1
               WHERE id = $1 AND revision = $5`,
        params: [after.id, after.secretHash, after.disabled ? 1 : 0, metadataOf(after), revision],
        expectRows: 1,
      },
      registryChanged,
    ])
  }

  return {
    find,

    async list() {
      const rows = await db.query<ClientRow>(`SELECT ${COLUMNS} FROM clients ORDER BY created_at, id`)
      return rows.map(toClient)
    },

    insert(client) {
      return db.batch([
        {
          sql: `INSERT INTO clients (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, ${FIRST_REVISION_SQL}) ON CONFLICT (id) DO NOTHING`,
          params: [
            client.id,
            client.secretHash,
            client.disabled ? 1 : 0,
            metadataOf(client),
            client.createdAt,
          ],
          expectRows: 1,
        },
        registryChanged,
      ])
    },

    update(id, change) {
      return updateRow({ find: () => find(id), keep, write }, change)
    },

    delete(id) {
      return db.batch([
        // A session that starts concurrently either exists after this lock, or can no longer start.
        { sql: 'SELECT 1 FROM clients WHERE id = $1', params: [id], lock: true },
        statusChanged,
        revokeSessionIndices('client_id = $1', [id]),
        revokeClientBlocks(id),
        { sql: 'DELETE FROM clients WHERE id = $1', params: [id], expectRows: 1 },
        registryRowDeleted,
        registryChanged,
      ])
    },
  }
}

const keep = (changed: New<Client>, { id, createdAt }: Client): New<Client> => ({ ...changed, id, createdAt })

/** Members that no query searches for have no column, so that a new member of Client needs no migration. */
function metadataOf(client: New<Client>): string {
  const { id, secretHash, disabled, createdAt, revision, ...metadata } = client as Client
  return JSON.stringify(metadata)
}

function toClient(row: ClientRow): Client {
  return {
    ...(JSON.parse(row.metadata) as Omit<
      Client,
      'id' | 'secretHash' | 'disabled' | 'createdAt' | 'revision'
    >),
    id: row.id,
    secretHash: row.secret_hash,
    disabled: row.disabled === 1,
    createdAt: row.created_at,
    revision: row.revision,
  }
}
