/**
 * What a serving node records about itself in the store, so that an operator sees every node from anywhere. Nothing depends on
 * it: nodes share their work by what they find in the store, whichever other nodes there are.
 */
import type { LiveRing } from '../keys/live-ring.ts'
import type { MasterKeys } from '../keys/master-keys.ts'
import { NODE_TIMEOUT, type NodeStore, type ServingNode } from '../store/contracts/nodes.ts'
import type { Clock, EpochSeconds, Random, Seconds } from '../system.ts'

/** Between two heartbeats: a node counts as gone when it has missed six (NODE_TIMEOUT). */
export const HEARTBEAT_INTERVAL: Seconds = 5

/** Where the process runs. */
export interface NodeInfo {
  readonly hostname: string
  readonly pid: number
}

export interface Heartbeat {
  /** Records a heartbeat if one is due: after the interval, or at once when the ring or the master keys have changed. */
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
}

export function createHeartbeat(deps: HeartbeatDeps): Heartbeat {
  const { nodes, ring, masterKeys, clock, random, nodeInfo, version } = deps
  const { hostname, pid } = nodeInfo
  const self = { id: random.id(), hostname, pid, version, startedAt: clock.now() }
  let last: ServingNode | undefined

  return {
    async beat() {
      const now = clock.now()
      const ringVersion = ring.ring().version
      const held = masterKeys.list().map(({ id }) => id)
      const changed = last?.ringVersion !== ringVersion || last.masterKeys.join() !== held.join()
      if (last && !changed && Math.abs(now - last.seenAt) < HEARTBEAT_INTERVAL) return
      const row = { ...self, ringVersion, masterKeys: held, seenAt: now }
      await nodes.record(row)
      last = row
    },

    async leave() {
      if (last) await nodes.remove(self.id)
      last = undefined
    },
  }
}

/** The node has sent a heartbeat lately. A node whose clock is ahead of ours counts as serving. */
export const isServing = ({ seenAt }: ServingNode, now: EpochSeconds): boolean => now - seenAt < NODE_TIMEOUT
