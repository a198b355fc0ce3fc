/**
 * Allocates status indices from leased blocks. An index is taken from memory; the store is asked once for each block. Must
 * not know tokens or the contents of lists.
 */
import type { DataKeys } from '../keys/data-keys.ts'
import { singleFlightByKey } from '../single-flight.ts'
import type { Client } from '../store/contracts/clients.ts'
import {
  LIST_SIZE,
  type StatusBlock,
  type StatusIndex,
  type StatusKind,
  type StatusStore,
} from '../store/contracts/status.ts'
import type { Clock, EpochSeconds, Seconds } from '../system.ts'
import { createPermutation, type Permutation } from './permutation.ts'

export interface StatusIndexAllocator {
  /** For a token without a session that expires at `expiresAt`. */
  forToken(client: Client, expiresAt: EpochSeconds): Promise<StatusIndex>
  /** For all tokens of one login. */
  forSession(expiresAt: EpochSeconds): Promise<StatusIndex>
  /** Loads the permutation of a list, which `indexOf` needs. */
  learn(list: number): Promise<void>
  /** The index of a position in a list that was learned, for revoking a whole block. */
  indexOf(list: number, position: number): number
}

export interface StatusIndexAllocatorDeps {
  readonly status: StatusStore
  readonly clock: Clock
  readonly dataKeys: Pick<DataKeys, 'all' | 'sync'>
}

/** A block of a client starts small and doubles while the client is busy: leases stay rare, and a quiet client wastes little. */
const MIN_BLOCK_SIZE = 64
const MAX_BLOCK_SIZE = 16_384
const FOR_SESSIONS = 256
/** How long a block may be used. Its list is kept for the longest token that could still get an index from it. */
const USE_FOR: Seconds = 3600

interface Run {
  readonly block: StatusBlock
  next: number
}

export function createStatusIndexAllocator({
  status,
  clock,
  dataKeys,
}: StatusIndexAllocatorDeps): StatusIndexAllocator {
  const permutations = new Map<number, Permutation>()
  // The key is the registration itself. A client that was disabled and enabled again is another object with new blocks, so
  // the indices that were revoked are never allocated again.
  const runs = new WeakMap<object, Run>()
  const leaseOnce = singleFlightByKey<object, void>()
  const sessions = {}

  /** The number of a list tells its data key. A new data key comes with new lists, so this node may not have it yet. */
  async function learn(list: number): Promise<void> {
    if (permutations.has(list)) return
    await dataKeys.sync()
    const dataKey = dataKeys.all().find(({ firstStatusList }) => firstStatusList <= list)
    if (!dataKey) throw new Error(`the data key of status list ${list} was deleted`)
    permutations.set(list, createPermutation(dataKey.key('keyturn/status-indices/v1'), list))
  }

  function indexOf(list: number, position: number): number {
    const permutation = permutations.get(list)
    if (!permutation) throw new Error(`status list ${list} was not learned`)
    return permutation(position)
  }

  async function take(owner: object, kind: StatusKind, expiresAt: EpochSeconds, clientId?: string) {
    for (;;) {
      const run = runs.get(owner)
      if (run && run.next < run.block.size && expiresAt <= run.block.expiresAt) {
        const position = run.block.start + run.next
        run.next += 1
        return { list: run.block.list, idx: indexOf(run.block.list, position) }
      }
      await lease(owner, kind, expiresAt, clientId)
    }
  }

  /** One lease for all callers that wait for the same owner's next block. */
  function lease(owner: object, kind: StatusKind, expiresAt: EpochSeconds, clientId?: string): Promise<void> {
    return leaseOnce(owner, async () => {
      const lifetime = expiresAt - clock.now()
      const until = clock.now() + USE_FOR + Math.max(0, lifetime)
      const size = kind === 'session' ? FOR_SESSIONS : nextSize(runs.get(owner))
      const block = await status.lease(kind, size, until, clientId)
      await learn(block.list)
      runs.set(owner, { block, next: 0 })
    })
  }

  return {
    forToken: (client, expiresAt) => take(client, 'token', expiresAt, client.id),
    forSession: (expiresAt) => take(sessions, 'session', expiresAt),
    learn,
    indexOf,
  }
}

function nextSize(run: Run | undefined): number {
  if (!run) return MIN_BLOCK_SIZE
  // A block that expired before it was used up belongs to a quiet client.
  return run.next < run.block.size ? MIN_BLOCK_SIZE : Math.min(MAX_BLOCK_SIZE, LIST_SIZE, run.block.size * 2)
}
