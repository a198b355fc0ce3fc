import type { EpochSeconds } from '../../system.ts'
import type { New, Update } from './update.ts'

export interface User {
  /** The `sub` claim: stable, never reassigned, without meaning (OIDC Core §2). */
  readonly id: string
  /** Normalized once (accounts/username.ts), so that sign-in and rate limits refer to the same account. */
  readonly username: string
  readonly email: string | null
  /** An administrator has confirmed that mail to the address reaches the user. */
  readonly emailVerified: boolean
  /** Display name (`name`, OIDC Core §5.1). */
  readonly name: string | null
  /** OIDC Core §5.1, like the next three: `given_name`, `family_name`, `locale`, `zoneinfo`. */
  readonly givenName: string | null
  readonly familyName: string | null
  /** A language tag (RFC 5646), in its canonical form. */
  readonly locale: string | null
  /** The name of a time zone in the IANA database. */
  readonly zoneinfo: string | null
  /** argon2id string (RFC 9106). null until the user has set a password: then no password is correct. */
  readonly passwordHash: string | null
  readonly roles: readonly string[]
  readonly disabled: boolean
  readonly createdAt: EpochSeconds
  /** When the profile last changed (`updated_at`, OIDC Core §5.1). */
  readonly updatedAt: EpochSeconds
  /** Grows by one with every change of the user or the user's roles (contracts/update.ts). The store sets it. */
  readonly revision: number
}

export type Profile = Pick<
  User,
  'email' | 'emailVerified' | 'name' | 'givenName' | 'familyName' | 'locale' | 'zoneinfo'
>

interface UsersWithRole {
  readonly count: number
  readonly usernames: readonly string[]
}

export interface UserStore {
  find(id: string): Promise<User | null>
  findByUsername(username: string): Promise<User | null>
  /** At most `limit` users after this one, oldest first, or from the beginning. */
  page(after: Pick<User, 'createdAt' | 'id'> | null, limit: number): Promise<User[]>
  /** How many users have the role, and the usernames of at most `limit` of them, oldest first. */
  withRole(role: string, limit: number): Promise<UsersWithRole>
  /** Ids of the enabled users who have the role. */
  idsWithRole(role: string): Promise<string[]>
  /** Returns false, and changes nothing, if the id or username is taken, or a role does not exist. */
  insert(user: New<User>): Promise<boolean>
  /**
   * Replaces the hash, and deletes the user's one-time links. Returns false if the user does not exist or, with `expected`, if the
   * stored hash does not equal it.
   */
  setPasswordHash(id: string, passwordHash: string, expected?: string | null): Promise<boolean>
  /**
   * Changes username, profile, roles, `disabled` and `updatedAt`. Disabling and a role that is added delete the user's one-time links.
   * Reports a conflict if the username is taken or one of the roles does not exist.
   * @param keepRole unless an enabled user with this role is left after the change, it is not made, and `change` is called again as if
   * another writer had been faster. So it must throw then.
   */
  readonly update: (...args: [...Parameters<Update<User>>, keepRole?: string]) => ReturnType<Update<User>>
  /** Disabling deletes the user's one-time links. Returns false if the user does not exist. */
  setDisabled(id: string, disabled: boolean): Promise<boolean>
  /**
   * Deletes the user and all rows that belong to the user, and erases the user's values in the audit log (contracts/audit.ts).
   * Returns false, and changes nothing, if the user does not exist or is not disabled, or has a session that is not revoked, because
   * its tokens would stay valid.
   */
  delete(id: string): Promise<boolean>
  /** Deletes the user's one-time links. Returns false if the user or the role does not exist, or the user has the role. */
  addRole(id: string, role: string): Promise<boolean>
  /** Returns false if the user does not have the role. */
  removeRole(id: string, role: string): Promise<boolean>
}
