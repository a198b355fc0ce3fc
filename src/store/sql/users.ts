import type { New } from '../contracts/update.ts'
import type { Profile, User, UserStore } from '../contracts/users.ts'
import { type Db, falseOnConflict, type Param, type Step } from '../db.ts'
import { eraseUser } from './audit.ts'
import { FIRST_REVISION, updateRow } from './update.ts'
import { JOIN_ROLES, toUsers, USER_COLUMNS, type UserRow } from './user-rows.ts'

export function createUserStore(db: Db): UserStore {
  async function select(where: string, params: Param[]): Promise<User[]> {
    const rows = await db.query<UserRow>(
      `SELECT ${USER_COLUMNS}
         FROM users u ${JOIN_ROLES}
        ${where} ORDER BY u.created_at, u.id, r.role`,
      params,
    )
    return toUsers(rows)
  }

  const insertOrFalse = (steps: Parameters<Db['batch']>[0]) => falseOnConflict(db.batch(steps))

  // `IN` and not `=`: see user-rows.ts.
  async function find(id: string): Promise<User | null> {
    const [user] = await select('WHERE u.id IN ($1)', [id])
    return user ?? null
  }

  /** The steps about roles come first, because a batch that deletes a role also locks the role before its users. */
  function write(after: User, before: User, keepRole: string | undefined): Promise<boolean> {
    const { id } = before
    return db.batch([
      ...(keepRole === undefined ? [] : [lockRole(keepRole)]),
      ...before.roles.filter((role) => !after.roles.includes(role)).map((role) => deleteRole(id, role)),
      ...after.roles.filter((role) => !before.roles.includes(role)).map((role) => insertRole(id, role)),
      {
        sql: `UPDATE users SET username = $2, email = $3, email_verified = $4, name = $5, given_name = $6, family_name = $7,
                               locale = $8, zoneinfo = $9, disabled = $10, updated_at = $11, revision = revision + 1
               WHERE id = $1 AND revision = $12`,
        params: [
          id,
          after.username,
          ...profileParams(after),
          after.disabled ? 1 : 0,
          after.updatedAt,
          before.revision,
        ],
        expectRows: 1,
      },
      ...(after.disabled || gainsRole(before, after) ? [deleteLinks(id)] : []),
      ...(keepRole === undefined ? [] : [requireUserWithRole(keepRole)]),
    ])
  }

  return {
    find,

    async findByUsername(username) {
      const [user] = await select('WHERE u.username IN ($1)', [username])
      return user ?? null
    },

    page: (after, limit) =>
      select(
        `WHERE u.id IN (SELECT id FROM users WHERE (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3)`,
        [after?.createdAt ?? -1, after?.id ?? '', limit],
      ),

    async withRole(role, limit) {
      const [counted] = await db.query<{ count: number }>(
        'SELECT count(*) AS count FROM user_roles WHERE role = $1',
        [role],
      )
      const rows = await db.query<{ username: string }>(
        `SELECT u.username FROM user_roles r JOIN users u ON u.id = r.user_id WHERE r.role = $1
          ORDER BY u.created_at, u.id LIMIT $2`,
        [role, limit],
      )
      return { count: Number(counted?.count ?? 0), usernames: rows.map(({ username }) => username) }
    },

    async idsWithRole(role) {
      const rows = await db.query<{ id: string }>(
        'SELECT u.id FROM user_roles r JOIN users u ON u.id = r.user_id WHERE r.role = $1 AND u.disabled = 0',
        [role],
      )
      return rows.map(({ id }) => id)
    },

    insert(user) {
      return insertOrFalse([
        {
          sql: `INSERT INTO users (id, username, email, email_verified, name, given_name, family_name, locale, zoneinfo,
                                   password_hash, disabled, created_at, updated_at, revision)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
          params: [
            user.id,
            user.username,
            ...profileParams(user),
            user.passwordHash,
            user.disabled ? 1 : 0,
            user.createdAt,
            user.updatedAt,
            FIRST_REVISION,
          ],
        },
        ...user.roles.map((role) => insertRole(user.id, role)),
      ])
    },

    setPasswordHash(id, passwordHash, expected) {
      // An argon2id string is never empty.
      const guard = expected === undefined ? '' : ` AND coalesce(password_hash, '') = $3`
      return db.batch([
        {
          sql: `UPDATE users SET password_hash = $2, revision = revision + 1 WHERE id = $1${guard}`,
          params: expected === undefined ? [id, passwordHash] : [id, passwordHash, expected ?? ''],
          expectRows: 1,
        },
        deleteLinks(id),
      ])
    },

    update(id, change, keepRole) {
      const access = {
        find: () => find(id),
        keep,
        write: (after: User, before: User) => write(after, before, keepRole),
      }
      return updateRow(access, change)
    },

    setDisabled(id, disabled) {
      return db.batch([
        {
          sql: 'UPDATE users SET disabled = $2, revision = revision + 1 WHERE id = $1',
          params: [id, disabled ? 1 : 0],
          expectRows: 1,
        },
        ...(disabled ? [deleteLinks(id)] : []),
      ])
    },

    delete: (id) =>
      db.batch([
        ...eraseUser(id),
        // A session that was just inserted holds a lock on the user, so it is found by the next step.
        { sql: 'SELECT 1 FROM users WHERE id = $1', params: [id], lock: true },
        {
          sql: `UPDATE client_sessions SET revoked_at = 0 WHERE user_id = $1 AND revoked_at IS NULL`,
          params: [id],
          expectRows: 0,
        },
        { sql: 'DELETE FROM users WHERE id = $1 AND disabled = 1', params: [id], expectRows: 1 },
      ]),

    addRole: (id, role) => insertOrFalse([insertRole(id, role), changed(id), deleteLinks(id)]),

    removeRole: (id, role) => db.batch([deleteRole(id, role), changed(id)]),
  }
}

/** In the order of both statements. */
const profileParams = (profile: Profile): Param[] => [
  profile.email,
  profile.emailVerified ? 1 : 0,
  profile.name,
  profile.givenName,
  profile.familyName,
  profile.locale,
  profile.zoneinfo,
]

const insertRole = (id: string, role: string): Step => ({
  sql: 'INSERT INTO user_roles (user_id, role) VALUES ($1, $2)',
  params: [id, role],
})

const deleteRole = (id: string, role: string): Step => ({
  sql: 'DELETE FROM user_roles WHERE user_id = $1 AND role = $2',
  params: [id, role],
  expectRows: 1,
})

/** A link hands over the account as it was when the link was made. */
const gainsRole = (before: User, after: User): boolean =>
  after.roles.some((role) => !before.roles.includes(role))

/** Must follow a step that changes the user, because whatever uses a link locks the user first. */
const deleteLinks = (id: string): Step => ({
  sql: 'DELETE FROM one_time_links WHERE user_id = $1',
  params: [id],
})

/** Two batches that each take the role from one of two users follow each other. */
const lockRole = (role: string): Step => ({
  sql: 'SELECT 1 FROM roles WHERE name = $1',
  params: [role],
  lock: true,
})

/** Fails the batch unless an enabled user has the role. It writes a row as it is, because only a write can fail a batch. */
const requireUserWithRole = (role: string): Step => ({
  sql: `UPDATE user_roles SET role = $1
         WHERE role = $1 AND user_id = (SELECT min(u.id) FROM user_roles r JOIN users u ON u.id = r.user_id
                                         WHERE r.role = $1 AND u.disabled = 0)`,
  params: [role],
  expectRows: 1,
})

/** Part of batches that change only the roles of a user. */
const changed = (id: string): Step => ({
  sql: 'UPDATE users SET revision = revision + 1 WHERE id = $1',
  params: [id],
})

const keep = (changed: New<User>, before: User): New<User> => ({
  ...changed,
  id: before.id,
  passwordHash: before.passwordHash,
  createdAt: before.createdAt,
  roles: [...new Set(changed.roles)].sort(),
})
