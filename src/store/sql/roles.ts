import type { Role, RoleStore } from '../contracts/roles.ts'
import type { Db } from '../db.ts'
import { registryChanged } from './revisions.ts'

interface RoleRow {
  name: string
  scopes: string
  require_second_factor: number
  created_at: number
}

const COLUMNS = 'name, scopes, require_second_factor, created_at'

export function createRoleStore(db: Db): RoleStore {
  return {
    async find(name) {
      const [row] = await db.query<RoleRow>(`SELECT ${COLUMNS} FROM roles WHERE name = $1`, [name])
      return row ? toRole(row) : null
    },

    async list() {
      const rows = await db.query<RoleRow>(`SELECT ${COLUMNS} FROM roles ORDER BY name`)
      return rows.map(toRole)
    },

    insert(role) {
      return db.batch([
        {
          sql: `INSERT INTO roles (${COLUMNS}) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING`,
          params: [role.name, role.scopes.join(' '), role.requireSecondFactor ? 1 : 0, role.createdAt],
          expectRows: 1,
        },
        registryChanged,
      ])
    },

    replace(role) {
      return db.batch([
        {
          sql: 'UPDATE roles SET scopes = $2, require_second_factor = $3 WHERE name = $1',
          params: [role.name, role.scopes.join(' '), role.requireSecondFactor ? 1 : 0],
          expectRows: 1,
        },
        registryChanged,
      ])
    },

    delete(name) {
      return db.batch([
        { sql: 'DELETE FROM roles WHERE name = $1', params: [name], expectRows: 1 },
        registryChanged,
      ])
    },
  }
}

function toRole(row: RoleRow): Role {
  return {
    name: row.name,
    scopes: row.scopes.split(' ').filter(Boolean),
    requireSecondFactor: row.require_second_factor === 1,
    createdAt: row.created_at,
  }
}
