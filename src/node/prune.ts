/** Deletes rows whose retention (`store/retention.ts`) has ended, table by table. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../store/index.ts'
import { endOfRetention, PRUNABLE, type Prunable } from '../store/retention.ts'
import { type Clock, type EpochSeconds, systemMonotonic } from '../system.ts'

/** Rows in a batch. SQLite blocks the event loop for the few milliseconds of a batch. */
export const PRUNE_BATCH = 100
/** The pause after a batch, in which requests are served, as a multiple of the duration of the batch. */
const PAUSE_FACTOR = 4
const MAX_PAUSE_MS = 250

/**
 * @param more additional tables, with the time before which their rows are deleted
 * @param stopping called before each batch; if it returns true, the remaining rows are left for the next run
 */
export async function prune(
  store: Store,
  clock: Clock,
  more: readonly (readonly [Prunable, EpochSeconds])[] = [],
  stopping: () => boolean = () => false,
): Promise<void> {
  const now = clock.now()
  const tables = PRUNABLE.map((name) => [store[name], endOfRetention(name, now)] as const)
  for (const [table, before] of [...tables, ...more]) {
    while (!stopping()) {
      const startedAt = systemMonotonic()
      if ((await table.prune(before, PRUNE_BATCH)) < PRUNE_BATCH) break
      await sleep(Math.min(PAUSE_FACTOR * (systemMonotonic() - startedAt), MAX_PAUSE_MS))
    }
  }
}
