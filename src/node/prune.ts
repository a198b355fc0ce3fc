/** What has ended is forgotten, table by table. Must not know why anything ends; only for how long it is of use. */
import { setTimeout as sleep } from 'node:timers/promises'
import { FORGOTTEN_AFTER } from '../keys/known-verifiers.ts'
import type { Store } from '../store/index.ts'
import { type Clock, type EpochSeconds, systemSteady } from '../system.ts'
import { REMEMBERED } from './heartbeat.ts'

/** Rows at once. SQLite works on the event loop: these keep it for some milliseconds, and a request waits no longer. */
const BATCH = 100
/** After each batch, this many times as long as it took: the rest of the time belongs to requests. */
const REST = 4
const LONGEST_REST_MS = 250
/** Ended sessions stay as long as any access token of theirs could live, so that introspection knows them. */
const SESSION_MEMORY = 86_400
/** After its end as a reference: whoever came with it may still be at the login page. */
const PUSHED_REQUEST_MEMORY = 3600
/** What was used once stays used when a clock is set back; one that was an hour ahead is rare, and corrected by hand. */
const USED_MEMORY = 3600

interface Expiring {
  prune(before: EpochSeconds, limit: number): Promise<number>
}

/**
 * @param more what is no table of its own, with the time before which it has ended
 * @param stopping asked between two batches: what is left is for the next time
 */
export async function sweep(
  store: Store,
  clock: Clock,
  more: readonly (readonly [Expiring, EpochSeconds])[] = [],
  stopping: () => boolean = () => false,
): Promise<void> {
  const now = clock.now()
  const expiring = [
    [store.sessions, now - SESSION_MEMORY],
    // So long, because a code that is presented again takes back what it bought.
    [store.codes, now - SESSION_MEMORY],
    [store.signIns, now - SESSION_MEMORY],
    [store.pushedRequests, now - PUSHED_REQUEST_MEMORY],
    [store.singleUse, now - USED_MEMORY],
    // Longer than they would live: a clock that is set back must not revive them.
    [store.revokedTokens, now - SESSION_MEMORY],
    [store.status, now - SESSION_MEMORY],
    [store.verifiers, now - FORGOTTEN_AFTER],
    [store.nodes, now - REMEMBERED],
    [store.throttle, now],
    [store.familiar, now],
    ...more,
  ] as const
  for (const [table, before] of expiring) {
    while (!stopping()) {
      const began = systemSteady()
      if ((await table.prune(before, BATCH)) < BATCH) break
      await sleep(Math.min(REST * (systemSteady() - began), LONGEST_REST_MS))
    }
  }
}
