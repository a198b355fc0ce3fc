import type { Role, RoleStore } from '../contracts/roles.ts'
import type { Db } from '../db.ts'
import { registryChanged } from './revisions.ts'

interface RoleRow {
  name: string
  scopes: string
  created_at: number
}

export function createRoleStore(db: Db): RoleStore {
  return {
    async find(name) {
      const [row] = await db.query<RoleRow>('SELECT name, scopes, created_at FROM roles WHERE name = $1', [
        name,
      ])
      return row ? toRole(row) : null
    },

    async list() {
      const rows = await db.query<RoleRow>('SELECT name, scopes, created_at FROM roles ORDER BY name')
      return rows.map(toRole)
    },

    insert(role) {
      return db.batch([
        {
          sql: 'INSERT INTO roles (name, scopes, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING',
          params: [role.name, role.scopes.join(' '), role.createdAt],
          rows: 1,
        },
        registryChanged,
      ])
    },

    replace(role) {
      return db.batch([
        {
          sql: 'UPDATE roles SET scopes = $2 WHERE name = $1',
          params: [role.name, role.scopes.join(' ')],
          rows: 1,
        },
        registryChanged,
      ])
    },

    delete(name) {
      return db.batch([
        { sql: 'DELETE FROM roles WHERE name = $1', params: [name], rows: 1 },
        registryChanged,
      ])
    },
  }
}

function toRole(row: RoleRow): Role {
  return { name: row.name, scopes: row.scopes.split(' ').filter(Boolean), createdAt: row.created_at }
}
