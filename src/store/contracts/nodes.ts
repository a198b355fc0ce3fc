import type { EpochSeconds, Seconds } from '../../system.ts'

/** A node that has sent no heartbeat for this long does not serve: it was stopped, frozen, or cut off from the store. */
export const NODE_TIMEOUT: Seconds = 30

/** A process that serves from this store. */
export interface ServingNode {
  /** Another for each start. */
  readonly id: string
  readonly hostname: string
  readonly pid: number
  /** Of the program. */
  readonly version: string
  /** Of the ring that it signs with. */
  readonly ringVersion: number
  /** Fingerprints of the master keys that it holds; nothing is said by a version that knows of none. */
  readonly masterKeys: readonly string[]
  readonly startedAt: EpochSeconds
  readonly seenAt: EpochSeconds
}

export interface NodeStore {
  /** Remembers the newest of what a node says of itself. */
  record(node: ServingNode): Promise<void>
  /** All of them, also those that have not been seen for a while; in the order of their starts. */
  list(): Promise<ServingNode[]>
  /** It has stopped. */
  remove(id: string): Promise<void>
  prune(before: EpochSeconds, limit: number): Promise<number>
}
