/** Deletes rows that expired or ended long enough ago, table by table. How long that is stands in `store/retention.ts`. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../store/index.ts'
import { PRUNABLE, type Prunable, RETENTION } from '../store/retention.ts'
import { type Clock, type EpochSeconds, systemMonotonic } from '../system.ts'

/** Rows in a batch. SQLite works on the event loop: a batch takes some milliseconds, and no request waits longer. */
export const PRUNE_BATCH = 100
/** The pause after a batch, as a multiple of the time that the batch took: the rest of the time belongs to requests. */
const PAUSE_FACTOR = 4
const MAX_PAUSE_MS = 250

/**
 * @param more what is pruned besides the tables of the store, with the time before which its rows are deleted
 * @param stopping asked before each batch: once it is true, the remaining rows are left for the next run
 */
export async function prune(
  store: Store,
  clock: Clock,
  more: readonly (readonly [Prunable, EpochSeconds])[] = [],
  stopping: () => boolean = () => false,
): Promise<void> {
  const now = clock.now()
  const tables = PRUNABLE.map((name) => [store[name], now - RETENTION[name].seconds] as const)
  for (const [table, before] of [...tables, ...more]) {
    while (!stopping()) {
      const began = systemMonotonic()
      if ((await table.prune(before, PRUNE_BATCH)) < PRUNE_BATCH) break
      await sleep(Math.min(PAUSE_FACTOR * (systemMonotonic() - began), MAX_PAUSE_MS))
    }
  }
}
