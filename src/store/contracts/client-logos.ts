import type { EpochSeconds } from '../../system.ts'

/** The logo of one or more clients, under the hash of its content. */
export interface ClientLogo {
  /** SHA-256, base64url. */
  readonly hash: string
  readonly contentType: string
  readonly body: Buffer
  readonly createdAt: EpochSeconds
}

export interface ClientLogoStore {
  /** Stores the logo, for a client that is stored right afterwards. If it is there already, only its time changes. */
  put(logo: ClientLogo): Promise<void>
  find(hash: string): Promise<ClientLogo | null>
  /** Deletes at most `limit` logos that no client has and that were stored before `before`. Returns how many were found. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
