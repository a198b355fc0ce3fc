/**
 * What a serving node says of itself in the store, so that an operator sees all of them from anywhere. Nothing depends
 * on it: nodes share their work by what they find in the store, whoever else is there.
 */

import type { LiveRing } from '../keys/live-ring.ts'
import type { KeyHolder } from '../keys/master-keys.ts'
import { NODE_TIMEOUT, type NodeStore, type ServingNode } from '../store/contracts/nodes.ts'
import type { Clock, EpochSeconds, Random, Seconds } from '../system.ts'

/** Between two heartbeats: a node counts as gone when it has missed six (NODE_TIMEOUT). */
const BEAT: Seconds = 5

/** Where the process runs. */
export interface Whereabouts {
  readonly hostname: string
  readonly pid: number
}

export interface Presence {
  /** Gives a sign of life if one is due: after a while, and at once when the ring or its keys have changed. */
  beat(): Promise<void>
  /** Takes it back. */
  leave(): Promise<void>
}

export interface PresenceDeps {
  readonly nodes: NodeStore
  readonly ring: Pick<LiveRing, 'ring'>
  readonly holder: Pick<KeyHolder, 'keys'>
  readonly clock: Clock
  readonly random: Pick<Random, 'id'>
  readonly whereabouts: Whereabouts
  readonly version: string
}

export function createPresence(deps: PresenceDeps): Presence {
  const { nodes, ring, holder, clock, random, whereabouts, version } = deps
  const { hostname, pid } = whereabouts
  const self = { id: random.id(), hostname, pid, version, startedAt: clock.now() }
  let said: ServingNode | undefined

  return {
    async beat() {
      const now = clock.now()
      const ringVersion = ring.ring().version
      const masterKeys = holder.keys().map(({ fingerprint }) => fingerprint)
      const news = said?.ringVersion !== ringVersion || said.masterKeys.join() !== masterKeys.join()
      if (said && !news && Math.abs(now - said.seenAt) < BEAT) return
      const saying = { ...self, ringVersion, masterKeys, seenAt: now }
      await nodes.record(saying)
      said = saying
    },

    async leave() {
      if (said) await nodes.remove(self.id)
      said = undefined
    },
  }
}

/** It has given a sign of life lately. A clock that is ahead of ours is no reason to doubt it. */
export const isServing = ({ seenAt }: ServingNode, now: EpochSeconds): boolean => now - seenAt < NODE_TIMEOUT
