/**
 * How old what a node knows of the store may be when it responds. A node polls the store four times a second, or every 750 ms
 * while the store notifies it of changes. A process that was frozen or cut off wakes up with what it knew before, and finds
 * waiting requests. It polls before it responds to them: otherwise it would serve a client that has been disabled, or sign with
 * a key that has been revoked. Must not know what is polled.
 */
import { setTimeout } from 'node:timers/promises'
import { singleFlight } from '../single-flight.ts'
import type { Ages } from '../system.ts'
import { LISTENING_POLL_INTERVAL_MS } from './change-poller.ts'

export interface Staleness {
  /** Reads what has changed. Callers that come while a poll is running wait for that poll. */
  poll(): Promise<void>
  /** undefined, as nearly always: nothing is stale. Otherwise resolves after a poll, or when the store takes too long. */
  refreshIfStale(): Promise<void> | undefined
}

export interface StalenessDeps {
  readonly ages: Ages
  /** Reads everything again that has changed in the store. */
  poll(): Promise<void>
}

/** Twice the longest interval between two polls of the store. */
export const STALE_AFTER_MS = 2 * LISTENING_POLL_INTERVAL_MS
/**
 * A working store responds well before. While it does not, requests that need no store are served: keys/live-ring.ts signs for
 * 10 s without the store.
 */
const POLL_TIMEOUT_MS = 500

export function createStaleness(deps: StalenessDeps): Staleness {
  const { ages } = deps
  let polledAt = ages.mark()
  /** Resolves when no request need wait any longer for the running poll. */
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
      // A second poll if the process was frozen between the first one and its answer.
      const done = poll()
        .then(() => (isFresh() ? undefined : poll()))
        .catch(() => {})
      timeout ??= setTimeout(POLL_TIMEOUT_MS, undefined, { ref: false })
      return Promise.race([done, timeout])
    },
  }
}
