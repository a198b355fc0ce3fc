/**
 * Allocates status indices from leased blocks. An index is taken from memory; the store is called once for each block. Must
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
  /** Allocates an index for a token that has no session and expires at `expiresAt`. */
  forToken(client: Client, expiresAt: EpochSeconds): Promise<StatusIndex>
  /** Allocates an index for all tokens of one client session. */
  forSession(expiresAt: EpochSeconds): Promise<StatusIndex>
  /** Loads the permutation of a list, which `indexOf` needs. */
  loadPermutation(list: number): Promise<void>
  /** The index of a position, for revoking a whole block. The permutation of the list must be loaded. */
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
const SESSION_BLOCK_SIZE = 256
/**
 * How long indices may be taken from a block. Its list is published until the last token that got an index from it has expired.
 */
const BLOCK_LIFETIME: Seconds = 3600

interface BlockInUse {
  readonly block: StatusBlock
  next: number
}

export function createStatusIndexAllocator({
  status,
  clock,
  dataKeys,
}: StatusIndexAllocatorDeps): StatusIndexAllocator {
  const permutations = new Map<number, Permutation>()
  // Keyed by the object of the registration. A client that was disabled and enabled again is another object with new blocks, so the
  // indices that were revoked are never allocated again.
  const blocks = new WeakMap<object, BlockInUse>()
  const leaseOnce = singleFlightByKey<object, void>()
  const sessions = {}

  /** A list's number determines its data key. A new data key comes with new lists, so this node may not have read it yet. */
  async function loadPermutation(list: number): Promise<void> {
    if (permutations.has(list)) return
    await dataKeys.sync()
    const dataKey = dataKeys.all().find(({ firstStatusList }) => firstStatusList <= list)
    if (!dataKey) throw new Error(`the data key of status list ${list} was deleted`)
    permutations.set(list, createPermutation(dataKey.key('keyturn/status-indices/v1'), list))
  }

  function indexOf(list: number, position: number): number {
    const permutation = permutations.get(list)
    if (!permutation) throw new Error(`status list ${list} is not loaded`)
    return permutation(position)
  }

  async function take(owner: object, kind: StatusKind, expiresAt: EpochSeconds, clientId?: string) {
    for (;;) {
      const current = blocks.get(owner)
      if (current && current.next < current.block.size && expiresAt <= current.block.expiresAt) {
        const position = current.block.start + current.next
        current.next += 1
        return { list: current.block.list, idx: indexOf(current.block.list, position) }
      }
      await lease(owner, kind, expiresAt, clientId)
    }
  }

  /** One lease for all callers that wait for the same owner's next block. */
  function lease(owner: object, kind: StatusKind, expiresAt: EpochSeconds, clientId?: string): Promise<void> {
    return leaseOnce(owner, async () => {
      const lifetime = expiresAt - clock.now()
      const blockExpiresAt = clock.now() + BLOCK_LIFETIME + Math.max(0, lifetime)
      const size = kind === 'session' ? SESSION_BLOCK_SIZE : nextSize(blocks.get(owner))
      const block = await status.lease(kind, size, blockExpiresAt, clientId)
      await loadPermutation(block.list)
      blocks.set(owner, { block, next: 0 })
    })
  }

  return {
    forToken: (client, expiresAt) => take(client, 'token', expiresAt, client.id),
    forSession: (expiresAt) => take(sessions, 'session', expiresAt),
    loadPermutation,
    indexOf,
  }
}

function nextSize(current: BlockInUse | undefined): number {
  if (!current) return MIN_BLOCK_SIZE
  // A block that expired before it was used up belongs to a quiet client.
  return current.next < current.block.size
    ? MIN_BLOCK_SIZE
    : Math.min(MAX_BLOCK_SIZE, LIST_SIZE, current.block.size * 2)
}
