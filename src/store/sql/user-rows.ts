/** Rows of users with their roles, alone or beside a row that refers to a user. */
import type { User } from '../contracts/users.ts'
import type { Db } from '../db.ts'

export interface UserRow {
  user_id: string
  username: string
  email: string | null
  email_verified: number
  name: string | null
  given_name: string | null
  family_name: string | null
  locale: string | null
  zoneinfo: string | null
  password_hash: string | null
  disabled: number
  user_created_at: number
  updated_at: number
  revision: number
  role: string | null
}

/** The columns of a {@link UserRow}, of `users u` with {@link JOIN_ROLES}. Names that other tables have too begin with `user_`. */
export const USER_COLUMNS = `u.id AS user_id, u.username, u.email, u.email_verified, u.name, u.given_name, u.family_name, u.locale,
              u.zoneinfo, u.password_hash, u.disabled, u.created_at AS user_created_at, u.updated_at, u.revision, r.role`

export const JOIN_ROLES = 'LEFT JOIN user_roles r ON r.user_id = u.id'

/**
 * The row of a table and its user, as they are at one moment; null if there is no such row. The user exists as long as the row does.
 * @param key the column that `value` names a row by
 */
export async function findWithUser<Row>(
  db: Db,
  table: string,
  key: string,
  value: string,
): Promise<{ readonly row: Row; readonly user: User } | null> {
  // `IN` and not `=`: for `=` in this join, SQLite plans the statement again for every value, at ten times the cost.
  const rows = await db.query<Row & UserRow>(
    `SELECT t.*, ${USER_COLUMNS}
       FROM ${table} t JOIN users u ON u.id = t.user_id ${JOIN_ROLES}
      WHERE t.${key} IN ($1) ORDER BY r.role`,
    [value],
    key,
  )
  const [row] = rows
  const [user] = toUsers(rows)
  return row && user ? { row, user } : null
}

/** @param rows one for each role, or one without a role; ordered by user and role */
export function toUsers(rows: readonly UserRow[]): User[] {
  const users = new Map<string, User & { roles: string[] }>()
  for (const row of rows) {
    let user = users.get(row.user_id)
    if (!user) {
      user = {
        id: row.user_id,
        username: row.username,
        email: row.email,
        emailVerified: row.email_verified === 1,
        name: row.name,
        givenName: row.given_name,
        familyName: row.family_name,
        locale: row.locale,
        zoneinfo: row.zoneinfo,
        passwordHash: row.password_hash,
        roles: [],
        disabled: row.disabled === 1,
        createdAt: row.user_created_at,
        updatedAt: row.updated_at,
        revision: row.revision,
      }
      users.set(row.user_id, user)
    }
    if (row.role !== null) user.roles.push(row.role)
  }
  return [...users.values()]
}
