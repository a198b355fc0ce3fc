import type { EpochSeconds, Seconds } from '../../system.ts'

/** A node without a heartbeat for this long counts as gone: it was killed, is frozen, or cannot reach the store. */
export const NODE_TIMEOUT: Seconds = 30

/** A process that serves with this store. */
export interface ServingNode {
  /** New at each start. */
  readonly id: string
  readonly hostname: string
  readonly pid: number
  /** Version of the program. */
  readonly version: string
  /** Version of the ring that the node signs with. */
  readonly ringVersion: number
  /** Ids of the master keys that the node has. */
  readonly masterKeys: readonly string[]
  /** The settings that all nodes must have in common, by name; no secrets. */
  readonly settings: Readonly<Record<string, string | number | null>>
  readonly startedAt: EpochSeconds
  /** Time of the last heartbeat. */
  readonly seenAt: EpochSeconds
}

/** Whether the node has sent a heartbeat recently. A heartbeat in the future counts as recent. */
export const isServing = ({ seenAt }: ServingNode, now: EpochSeconds): boolean => now - seenAt < NODE_TIMEOUT

/** How messages name a node. */
export const nodeName = ({ hostname, pid }: Pick<ServingNode, 'hostname' | 'pid'>): string =>
  `${hostname}:${pid}`

export interface NodeStore {
  /** Stores a heartbeat: inserts the node, or updates its ring version, master keys and `seenAt`. */
  record(node: ServingNode): Promise<void>
  /** All nodes, including those without a recent heartbeat, oldest start first. */
  list(): Promise<ServingNode[]>
  /** Call when the node has stopped cleanly. */
  remove(id: string): Promise<void>
  /** Deletes at most `limit` nodes with `seenAt` before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
}
