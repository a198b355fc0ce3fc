import type { EpochSeconds } from '../../system.ts'

/** A logout token that is to be sent to a client because its session has ended (OpenID Connect Back-Channel Logout §2.5). */
export interface LogoutOutboxEntry {
  readonly clientSessionId: string
  readonly clientId: string
  readonly userId: string
  /** How many attempts were made. */
  readonly attempts: number
  readonly dueAt: EpochSeconds
}

/** Rows are inserted in the batch that ends the client session (client-sessions.ts, user-sessions.ts). */
export interface LogoutOutboxStore {
  /** At most `limit` rows that are due, oldest first, without those of `exceptClients`. */
  due(now: EpochSeconds, limit: number, exceptClients?: readonly string[]): Promise<LogoutOutboxEntry[]>
  /**
   * Claims a row for one attempt and sets the time of the next attempt. Returns true for exactly one of any number of concurrent
   * callers, so that two nodes do not send the same token at once.
   */
  claim(entry: LogoutOutboxEntry, nextDueAt: EpochSeconds): Promise<boolean>
  /** Call when the client has received the token, or no attempt is left. */
  delete(clientSessionId: string): Promise<void>
  /** All rows, due or not. */
  count(): Promise<number>
}
