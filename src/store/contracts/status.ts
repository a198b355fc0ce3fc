import type { EpochSeconds } from '../../system.ts'

/** Indices of sessions and of single tokens live in lists of their own: sessions last for weeks. */
export type StatusKind = 'session' | 'token'

/** What a token carries (Token Status List §6.2), the list by its number. */
export interface StatusIndex {
  readonly list: number
  readonly idx: number
}

/** Positions that one node, and nobody else ever, hands out. */
export interface StatusBlock {
  readonly list: number
  readonly start: number
  readonly size: number
  /** No token with one of these positions lives longer. */
  readonly expiresAt: EpochSeconds
}

export interface StatusChanges {
  /** Pass it to the next call. */
  readonly revision: number
  readonly entries: readonly StatusIndex[]
  readonly blocks: readonly Pick<StatusBlock, 'list' | 'start' | 'size'>[]
}

export interface StatusStore {
  /**
   * `size` positions that were never given to anybody. Kept on record for the client, if one is named, so that
   * all its tokens can be taken back without a record of any.
   */
  lease(kind: StatusKind, size: number, expiresAt: EpochSeconds, clientId?: string): Promise<StatusBlock>
  /** Takes back one index; repeating it is harmless. */
  revoke(index: StatusIndex, expiresAt: EpochSeconds): Promise<void>
  /** Takes back every token without a session that was issued to the client until now. */
  revokeClient(clientId: string): Promise<void>
  /** What was taken back after `revision`; 0: everything. */
  changesSince(revision: number, now: EpochSeconds): Promise<StatusChanges>
  /** Numbers of the lists that some unexpired token may refer to. */
  liveLists(now: EpochSeconds): Promise<number[]>
  /**
   * The next blocks come from lists that nothing was leased from yet. For a store that went back in time: what it
   * handed out since that time is in tokens, and must not be handed out again.
   */
  startNewLists(): Promise<void>
  prune(before: EpochSeconds, limit: number): Promise<number>
}

/** Entries a list has. */
export const LIST_SIZE = 2 ** 20
