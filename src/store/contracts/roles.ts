import type { EpochSeconds } from '../../system.ts'

/** A named set of scopes that can be assigned to users. */
export interface Role {
  readonly name: string
  readonly scopes: readonly string[]
  /** Users who have the role must sign in with a second factor. */
  readonly requireSecondFactor: boolean
  readonly createdAt: EpochSeconds
}

export interface RoleStore {
  find(name: string): Promise<Role | null>
  /** By name. */
  list(): Promise<Role[]>
  /** Returns false if the name is taken. */
  insert(role: Role): Promise<boolean>
  /** Replaces scopes and `requireSecondFactor`. Returns false if the role does not exist. */
  replace(role: Role): Promise<boolean>
  /** Deletes the role and removes it from all users. Returns false if the role does not exist. */
  delete(name: string): Promise<boolean>
}
