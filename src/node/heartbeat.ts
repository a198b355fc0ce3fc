/**
 * Records in the store that this node is running, so that an operator sees all nodes. Nodes do not coordinate their work by
 * heartbeats.
 */
import type { LiveRing } from '../keys/live-ring.ts'
import type { MasterKeys } from '../keys/master-keys.ts'
import type { NodeStore, ServingNode } from '../store/contracts/nodes.ts'
import type { Clock, Random, Seconds } from '../system.ts'

/** A node counts as gone when it has missed six heartbeats (`NODE_TIMEOUT`). */
export const HEARTBEAT_INTERVAL: Seconds = 5

/** Where the process runs. */
export interface NodeInfo {
  readonly hostname: string
  readonly pid: number
}

export interface Heartbeat {
  /** Records a heartbeat if the interval has passed, or if the ring or the master keys have changed. */
  beat(): Promise<void>
  /** Removes the node from the list. */
  leave(): Promise<void>
}

export interface HeartbeatDeps {
  readonly nodes: NodeStore
  readonly ring: Pick<LiveRing, 'ring'>
  readonly masterKeys: Pick<MasterKeys, 'list'>
  readonly clock: Clock
  readonly random: Pick<Random, 'id'>
  readonly nodeInfo: NodeInfo
  readonly version: string
  /** The settings that all nodes must have in common. */
  readonly settings: ServingNode['settings']
}

export function createHeartbeat(deps: HeartbeatDeps): Heartbeat {
  const { nodes, ring, masterKeys, clock, random, nodeInfo, version, settings } = deps
  const { hostname, pid } = nodeInfo
  const self = { id: random.id(), hostname, pid, version, settings, startedAt: clock.now() }
  let last: ServingNode | undefined

  return {
    async beat() {
      const now = clock.now()
      const ringVersion = ring.ring().version
      const masterKeyIds = masterKeys.list().map(({ id }) => id)
      const changed = last?.ringVersion !== ringVersion || last.masterKeys.join() !== masterKeyIds.join()
      if (last && !changed && Math.abs(now - last.seenAt) < HEARTBEAT_INTERVAL) return
      const row = { ...self, ringVersion, masterKeys: masterKeyIds, seenAt: now }
      await nodes.record(row)
      last = row
    },

    async leave() {
      if (last) await nodes.remove(self.id)
      last = undefined
    },
  }
}
