/** The status lists in a node's memory: one bit for each index, 1 if it is revoked. Must not know tokens or HTTP. */
import { singleFlight } from '../single-flight.ts'
import { LIST_SIZE, type StatusStore } from '../store/contracts/status.ts'
import type { Clock } from '../system.ts'
import type { StatusIndexAllocator } from './status-index-allocator.ts'

export interface StatusListCache {
  /**
   * Reads what was revoked since the last call.
   * @param stored the store's revision, if it was just read: without a change, there is no query
   */
  sync(stored?: number): Promise<void>
  /** The bits of a list, and a version that grows when they change; null if no unexpired token refers to the list. */
  list(number: number): Promise<{ readonly bits: Uint8Array; readonly version: number } | null>
  /** Numbers of all lists that an unexpired token may refer to. */
  listsInUse(): Promise<number[]>
}

export interface StatusListCacheDeps {
  readonly status: StatusStore
  readonly indices: Pick<StatusIndexAllocator, 'loadPermutation' | 'indexOf'>
  readonly clock: Clock
}

interface CachedList {
  bits: Uint8Array
  version: number
}

export function createStatusListCache({ status, indices, clock }: StatusListCacheDeps): StatusListCache {
  const lists = new Map<number, CachedList>()
  let revision = 0

  function cachedList(number: number): CachedList {
    let list = lists.get(number)
    if (!list) {
      list = { bits: new Uint8Array(LIST_SIZE / 8), version: 0 }
      lists.set(number, list)
    }
    return list
  }

  function set(number: number, index: number): void {
    const list = cachedList(number)
    const byte = Math.floor(index / 8)
    const previous = list.bits[byte] ?? 0
    // Token Status List §4.1: the first entry of a byte is its least significant bit.
    list.bits[byte] = previous | (1 << (index % 8))
    if (list.bits[byte] !== previous) list.version += 1
  }

  async function readChanges(): Promise<void> {
    const now = clock.now()
    const changes = await status.changesSince(revision, now)
    if (changes.revision === revision) return
    for (const { list, idx } of changes.entries) set(list, idx)
    for (const { list, start, size } of changes.blocks) {
      await indices.loadPermutation(list)
      for (let position = start; position < start + size; position += 1)
        set(list, indices.indexOf(list, position))
    }
    revision = changes.revision
    const inUse = new Set(await status.listsInUse(now))
    for (const number of lists.keys()) if (!inUse.has(number)) lists.delete(number)
  }

  const read = singleFlight(readChanges)

  return {
    async sync(stored) {
      if (stored !== revision) await read()
    },

    async list(number) {
      if (lists.has(number)) return cachedList(number)
      return (await status.listsInUse(clock.now())).includes(number) ? cachedList(number) : null
    },

    listsInUse: () => status.listsInUse(clock.now()),
  }
}
