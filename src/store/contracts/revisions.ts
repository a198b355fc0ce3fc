import type { EpochSeconds } from '../../system.ts'

/**
 * What a node looks at to find out whether there is anything to do, without reading all tables. The four counters tell of changes by
 * other processes: of the key ring, the registry (clients, APIs, roles), the status lists, and the data keys. Each grows in the batch
 * that makes the change.
 */
export interface Revisions {
  readonly ring: number
  readonly registry: number
  readonly status: number
  readonly dataKeys: number
  /** When the next logout token is due; null if none waits. */
  readonly logoutDueAt: EpochSeconds | null
}

export interface RevisionStore {
  /**
   * All of them, read at one moment. A counter without a row is 0. With `unlessUnchanged`, there is no query if the engine can tell that
   * nothing was written since the last call. Not for requests, whose duration would tell a stranger whether something was written.
   */
  read(options?: { readonly unlessUnchanged?: boolean }): Promise<Revisions>
}
