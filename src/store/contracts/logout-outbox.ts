import type { EpochSeconds } from '../../system.ts'

/** A client that is to be told that a session of its has ended (OpenID Connect Back-Channel Logout). */
export interface LogoutNotice {
  readonly sessionId: string
  readonly clientId: string
  readonly userId: string
  /** How often it was tried. */
  readonly attempts: number
  readonly dueAt: EpochSeconds
}

/** Notices come into being in the batch that ends the session; see sessions and sign-ins. */
export interface LogoutNoticeStore {
  /** Those due now, at most `limit`, longest waiting first; none of the clients that are to be left alone. */
  due(now: EpochSeconds, limit: number, exceptClients?: readonly string[]): Promise<LogoutNotice[]>
  /**
   * Takes a notice for one attempt: the next may be made at `nextDueAt`, by whoever comes first. True for exactly one
   * of any number of concurrent callers, so two nodes do not tell a client twice at once.
   */
  claim(notice: LogoutNotice, nextDueAt: EpochSeconds): Promise<boolean>
  /** The client was told, or will not be. */
  delete(sessionId: string): Promise<void>
  /** All of them, due or not. */
  count(): Promise<number>
}
