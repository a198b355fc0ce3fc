import type { EpochSeconds } from '../../system.ts'

export interface User {
  /** `sub`: stable, never reused, says nothing (OIDC Core §2). */
  readonly id: string
  /** Normalised once (accounts/username), so that sign-in and throttling mean the same account. */
  readonly username: string
  readonly email: string | null
  /** Somebody has made sure that mail to the address reaches this person. */
  readonly emailVerified: boolean
  /** For people to read (`name`, OIDC Core §5.1). */
  readonly name: string | null
  /** argon2id string (RFC 9106). */
  readonly passwordHash: string
  readonly roles: readonly string[]
  readonly disabled: boolean
  readonly createdAt: EpochSeconds
  /** When name or address last changed (`updated_at`, OIDC Core §5.1). */
  readonly updatedAt: EpochSeconds
}

export type Profile = Pick<User, 'email' | 'emailVerified' | 'name'>

export interface UserStore {
  find(id: string): Promise<User | null>
  findByUsername(username: string): Promise<User | null>
  list(): Promise<User[]>
  /** False if the username is taken or a role does not exist. */
  insert(user: User): Promise<boolean>
  /** Replaces the hash; with `seen`, only if it still is the one that was read. */
  setPasswordHash(id: string, passwordHash: string, seen?: string): Promise<boolean>
  setProfile(id: string, profile: Profile, now: EpochSeconds): Promise<boolean>
  setDisabled(id: string, disabled: boolean): Promise<boolean>
  /** False if there is no such user or role, or the user has it already. */
  addRole(id: string, role: string): Promise<boolean>
  removeRole(id: string, role: string): Promise<boolean>
}
