import type { Role, RoleStore } from '../contracts/roles.ts'
import type { New } from '../contracts/update.ts'
import type { Db } from '../db.ts'
import { FIRST_REVISION_SQL, registryChanged, registryRowDeleted } from './revisions.ts'
import { updateRow } from './update.ts'

interface RoleRow {
  name: string
  scopes: string
  require_second_factor: number
  created_at: number
  revision: number
}

const COLUMNS = 'name, scopes, require_second_factor, created_at, revision'

export function createRoleStore(db: Db): RoleStore {
  async function find(name: string): Promise<Role | null> {
    const [row] = await db.query<RoleRow>(`SELECT ${COLUMNS} FROM roles WHERE name = $1`, [name])
    return row ? toRole(row) : null
  }

  function write(
    { name, scopes, requireSecondFactor }: Role,
    { scopes: before, revision }: Role,
  ): Promise<boolean> {
    const gains = scopes.some((scope) => !before.includes(scope))
    return db.batch([
      {
        sql: `UPDATE roles SET scopes = $2, require_second_factor = $3, revision = revision + 1
               WHERE name = $1 AND revision = $4`,
        params: [name, scopes.join(' '), requireSecondFactor ? 1 : 0, revision],
        expectRows: 1,
      },
      // As for a user who is given a role: a link is no way to rights that its maker could not have given (contracts/one-time-links.ts).
      ...(gains
        ? [
            {
              sql: 'DELETE FROM one_time_links WHERE user_id IN (SELECT user_id FROM user_roles WHERE role = $1)',
              params: [name],
            },
          ]
        : []),
      registryChanged,
    ])
  }

  return {
    find,

    async list() {
      const rows = await db.query<RoleRow>(`SELECT ${COLUMNS} FROM roles ORDER BY name`)
      return rows.map(toRole)
    },

    async page(after, limit) {
      const rows = await db.query<RoleRow>(
        `SELECT ${COLUMNS} FROM roles WHERE name > $1 ORDER BY name LIMIT $2`,
        [after?.name ?? '', limit],
      )
      return rows.map(toRole)
    },

    insert(role) {
      return db.batch([
        {
          sql: `INSERT INTO roles (${COLUMNS}) VALUES ($1, $2, $3, $4, ${FIRST_REVISION_SQL}) ON CONFLICT (name) DO NOTHING`,
          params: [role.name, role.scopes.join(' '), role.requireSecondFactor ? 1 : 0, role.createdAt],
          expectRows: 1,
        },
        registryChanged,
      ])
    },

    update(name, change) {
      return updateRow({ find: () => find(name), keep, write }, change)
    },

    delete(name, revision) {
      return db.batch([
        // If a user gets the role concurrently, either the user has it after this lock and loses it, or does not get it.
        { sql: 'SELECT 1 FROM roles WHERE name = $1', params: [name], lock: true },
        {
          sql: `UPDATE users SET revision = revision + 1
                 WHERE id IN (SELECT user_id FROM user_roles WHERE role = $1)`,
          params: [name],
        },
        revision === undefined
          ? { sql: 'DELETE FROM roles WHERE name = $1', params: [name], expectRows: 1 }
          : {
              sql: 'DELETE FROM roles WHERE name = $1 AND revision = $2',
              params: [name, revision],
              expectRows: 1,
            },
        registryRowDeleted,
        registryChanged,
      ])
    },
  }
}

const keep = (changed: New<Role>, { name, createdAt }: Role): New<Role> => ({ ...changed, name, createdAt })

function toRole(row: RoleRow): Role {
  return {
    name: row.name,
    scopes: row.scopes.split(' ').filter(Boolean),
    requireSecondFactor: row.require_second_factor === 1,
    createdAt: row.created_at,
    revision: row.revision,
  }
}
