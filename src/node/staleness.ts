/**
 * Makes a node poll the store before it responds from a stale view. A node polls four times a second, or every 750 ms while the
 * store notifies it of changes. A process that was frozen or disconnected resumes with an old view and with waiting requests.
 * Without another poll, it would serve a client that has been disabled, or sign with a revoked key. Must not know what is polled.
 */
import { setTimeout } from 'node:timers/promises'
import { singleFlight } from '../single-flight.ts'
import type { Ages } from '../system.ts'
import { LISTENING_POLL_INTERVAL_MS } from './change-poller.ts'

export interface Staleness {
  /** Reads the changes. Callers that come while a poll is running wait for that poll. */
  poll(): Promise<void>
  /** Returns undefined if the view is fresh, as it nearly always is. Otherwise resolves after a poll or a timeout. */
  refreshIfStale(): Promise<void> | undefined
  /** Resolves when the view has everything that was stored before the call, or after a timeout. */
  refresh(): Promise<void>
}

export interface StalenessDeps {
  readonly ages: Ages
  /** Reads everything that has changed in the store. */
  poll(): Promise<void>
}

/** Twice the longest interval between two polls of the store. */
export const STALE_AFTER_MS = 2 * LISTENING_POLL_INTERVAL_MS
/**
 * A working store responds much sooner. If it does not, requests that need no store are still served: keys/live-ring.ts signs for
 * 10 s without the store.
 */
const POLL_TIMEOUT_MS = 500

export function createStaleness(deps: StalenessDeps): Staleness {
  const { ages } = deps
  let polledAt = ages.mark()
  /** Resolves when requests stop waiting for the running poll. */
  let timeout: Promise<void> | undefined

  const isFresh = () => ages.since(polledAt) <= STALE_AFTER_MS

  const poll = singleFlight(async () => {
    timeout = undefined
    const mark = ages.mark()
    await deps.poll()
    polledAt = mark
  })

  return {
    poll,
    refreshIfStale() {
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
