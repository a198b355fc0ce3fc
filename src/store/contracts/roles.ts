import type { EpochSeconds } from '../../system.ts'

/** A named set of scopes that users may be given. */
export interface Role {
  readonly name: string
  readonly scopes: readonly string[]
  /** Whoever has the role must sign in with a second factor. */
  readonly requireSecondFactor: boolean
  readonly createdAt: EpochSeconds
}

export interface RoleStore {
  find(name: string): Promise<Role | null>
  list(): Promise<Role[]>
  /** False if the name is taken. */
  insert(role: Role): Promise<boolean>
  replace(role: Role): Promise<boolean>
  /** Takes the role from every user who has it; false if there was no such role. */
  delete(name: string): Promise<boolean>
}
