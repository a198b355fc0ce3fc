import type { EpochSeconds } from '../../system.ts'
import type { New, Update } from './update.ts'

/** A named set of scopes that can be assigned to users. */
export interface Role {
  readonly name: string
  readonly scopes: readonly string[]
  /** Users who have the role must sign in with a second factor. */
  readonly requireSecondFactor: boolean
  readonly createdAt: EpochSeconds
  /** Grows by one with every change of the row (contracts/update.ts). The store sets it. */
  readonly revision: number
}

export interface RoleStore {
  find(name: string): Promise<Role | null>
  /** All roles, in the order of their names. */
  list(): Promise<Role[]>
  /** At most `limit` roles after this one in the order of `list`, or from the beginning. */
  page(after: Pick<Role, 'name'> | null, limit: number): Promise<Role[]>
  /** Returns false if the name is taken. */
  insert(role: New<Role>): Promise<boolean>
  /** Changes scopes and `requireSecondFactor`. A scope that is added makes the one-time links of the role's users void. */
  readonly update: Update<Role>
  /**
   * Deletes the role and removes it from all users, which is a change of those users. Returns false if the role does not exist or,
   * with `revision`, if it has another revision.
   */
  delete(name: string, revision?: number): Promise<boolean>
}
