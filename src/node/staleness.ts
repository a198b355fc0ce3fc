/**
 * Makes a node poll the store before it responds from a stale view. While requests arrive, a node polls at least every 750 ms. A
 * process that was frozen, disconnected or idle has an old view when requests come. Without another poll, it would serve a client that
 * has been disabled, or sign with a revoked key. So an idle node needs no polls for its safety. Must not know what is polled.
 */
import { setTimeout } from 'node:timers/promises'
import { singleFlight } from '../single-flight.ts'
import type { Ages } from '../system.ts'
import { BUSY_POLL_INTERVAL_MS } from './change-poller.ts'

export interface Staleness {
  /** Reads the changes. Callers that come while a poll is running wait for that poll. */
  poll(): Promise<void>
  /** Returns undefined if the view is fresh, as it nearly always is. Otherwise resolves after a poll or a timeout. */
  refreshIfStale(): Promise<void> | undefined
  /** Resolves when the view has everything that was stored before the call, or after a timeout. */
  refresh(): Promise<void>
  /** Whether a request has used the view since the last poll began. */
  inUse(): boolean
}

export interface StalenessDeps {
  readonly ages: Ages
  /** Reads everything that has changed in the store. */
  poll(): Promise<void>
}

/** Twice the longest interval between two polls while requests arrive. */
export const STALE_AFTER_MS = 2 * BUSY_POLL_INTERVAL_MS
/**
 * A working store responds much sooner. If it does not, requests that need no store are still served: keys/live-ring.ts signs for
 * 10 s without the store.
 */
const POLL_TIMEOUT_MS = 500

export function createStaleness(deps: StalenessDeps): Staleness {
  const { ages } = deps
  let polledAt = ages.mark()
  let used = false
  /** Resolves when requests stop waiting for the running poll. */
  let timeout: Promise<void> | undefined

  const isFresh = () => ages.since(polledAt) <= STALE_AFTER_MS

  const poll = singleFlight(async () => {
    timeout = undefined
    used = false
    const mark = ages.mark()
    await deps.poll()
    polledAt = mark
  })

  return {
    poll,
    inUse: () => used,
    refreshIfStale() {
      used = true
      if (isFresh()) return undefined
      // Polls a second time if the process was frozen during the first poll.
      const done = poll()
        .then(() => (isFresh() ? undefined : poll()))
        .catch(() => {})
      timeout ??= setTimeout(POLL_TIMEOUT_MS, undefined, { ref: false })
      return Promise.race([done, timeout])
    },
    refresh() {
      // A poll that is running may have read the store too early.
      const done = poll
        .settled()
        .then(poll)
        .catch(() => {})
      return Promise.race([done, setTimeout(POLL_TIMEOUT_MS, undefined, { ref: false })])
    },
  }
}
