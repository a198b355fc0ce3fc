import type { EpochSeconds } from '../../system.ts'

/** Sessions last for weeks and tokens for minutes, so each kind has its own lists. */
export type StatusKind = 'session' | 'token'

/** The `status_list` claim of a token (Token Status List §6.2), with the number of the list instead of its URI. */
export interface StatusIndex {
  readonly list: number
  readonly idx: number
}

/** Consecutive positions that one node has leased. No other node ever uses them. */
export interface StatusBlock {
  readonly list: number
  readonly start: number
  readonly size: number
  /** No token with one of these positions expires later. */
  readonly expiresAt: EpochSeconds
}

interface StatusChanges {
  /** The argument of the next call of `changesSince`. */
  readonly revision: number
  readonly entries: readonly StatusIndex[]
  readonly blocks: readonly Pick<StatusBlock, 'list' | 'start' | 'size'>[]
}

export interface StatusStore {
  /**
   * Leases `size` positions that were never leased before. With `clientId`, the lease is stored, so that all tokens of the client
   * can be revoked although no token is stored.
   */
  lease(kind: StatusKind, size: number, expiresAt: EpochSeconds, clientId?: string): Promise<StatusBlock>
  /** Revokes one index. Returns false, and changes nothing, if it was revoked before. */
  revoke(index: StatusIndex, expiresAt: EpochSeconds): Promise<boolean>
  /** Revokes every token without a session that has been issued to the client. Changes nothing if there is none. */
  revokeClient(clientId: string): Promise<void>
  /** Revocations after `revision` that expire after `now`. Revision 0 returns all of them. */
  changesSince(revision: number, now: EpochSeconds): Promise<StatusChanges>
  /** Numbers of the lists that an unexpired token may refer to, lowest first. */
  listsInUse(now: EpochSeconds): Promise<number[]>
  /**
   * Makes later leases use new lists. Called after a restore: tokens already contain positions that were leased after the backup,
   * so these must not be leased again.
   */
  startNewLists(): Promise<void>
  /**
   * Deletes at most `limit` each of entries, blocks and lists that expired before `before`. Returns the largest of the three
   * numbers.
   */
  prune(before: EpochSeconds, limit: number): Promise<number>
}

/** Entries in a list. */
export const LIST_SIZE = 2 ** 20
