/**
 * How long batches wait for each other before a commit on a slow disk. Clients whose batches were committed soon send the next ones. Without
 * a pause, those miss the next commit, and two groups take turns on the disk: each client waits for two flushes. Must not know any table.
 */

/** Commits that are faster than this, in milliseconds, are not worth waiting for. */
const SLOW_MS = 2
/** The part of the time of a commit for which the next one waits at most. */
const PAUSE = 1 / 4

export interface Gathering {
  /** A commit of `size` batches has ended after `ms` milliseconds, while `waiting` others were waiting. */
  ended(size: number, waiting: number, ms: number): void
  /** The milliseconds for which the next commit waits for more batches; 0 if it begins at once. */
  pause(waiting: number): number
}

/** @param now milliseconds that only go up */
export function createGathering(now: () => number): Gathering {
  let expected = 0
  let end = 0
  return {
    ended(size, waiting, ms) {
      expected = size + waiting
      end = ms < SLOW_MS ? 0 : now() + ms * PAUSE
    },
    pause: (waiting) => (waiting >= expected ? 0 : Math.max(0, end - now())),
  }
}
