/**
 * How old what a node holds of the store may be when it answers. The follower looks four times a second, or every 750 ms where it
 * hears of changes. A process that was frozen, or cut off, wakes with what it knew then, and finds requests waiting: it looks
 * before it answers them, or it would serve a client that was disabled meanwhile and sign with a key that was revoked. Must not
 * know what is held.
 */
import { setTimeout } from 'node:timers/promises'
import { singleFlight } from '../single-flight.ts'
import type { Ages } from '../system.ts'
import { TOLD_MS } from './change-poller.ts'

export interface Freshness {
  /** Reads what has changed; whoever comes while it is under way waits for the same look. */
  look(): Promise<void>
  /** undefined, as nearly always: it is fresh. Otherwise resolves when it is, or when the store cannot tell so soon. */
  catchUp(): Promise<void> | undefined
}

export interface FreshnessDeps {
  readonly ages: Ages
  /** Reads again whatever has changed in the store. */
  look(): Promise<void>
}

/** Twice the longest time between two polls of the store. */
const FRESH_MS = 2 * TOLD_MS
/** A store that answers does so well before; while one does not, what needs no store goes on (keys/live-ring: for 10 s). */
const PATIENCE_MS = 500

export function createFreshness(deps: FreshnessDeps): Freshness {
  const { ages } = deps
  let seen = ages.mark()
  /** Resolves when nobody need wait any more for the look that is under way. */
  let patience: Promise<void> | undefined

  const isFresh = () => ages.since(seen) <= FRESH_MS

  const look = singleFlight(async () => {
    patience = undefined
    const mark = ages.mark()
    await deps.look()
    seen = mark
  })

  return {
    look,
    catchUp() {
      if (isFresh()) return undefined
      // Again, if the process was frozen between a question and its answer.
      const done = look()
        .then(() => (isFresh() ? undefined : look()))
        .catch(() => {})
      patience ??= setTimeout(PATIENCE_MS, undefined, { ref: false })
      return Promise.race([done, patience])
    },
  }
}
