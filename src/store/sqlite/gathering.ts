/**
 * How long batches wait for each other before a commit on a slow disk. Clients whose batches were committed soon send the next ones. Without
 * a pause, those miss the next commit, and two groups take turns on the disk: each client waits for two flushes. If there are so many clients
 * that they do not come back during the pause, two groups are the best there is, and nothing waits. Must not know any table.
 */

/** Commits that are faster than this, in milliseconds, are not worth waiting for. */
const SLOW_MS = 2
/** The part of the time of a commit for which the next one waits at most. */
const PAUSE = 1 / 2
/** After so many pauses in a row that were too short for all clients, as many commits begin without one. */
const SHORT_PAUSES = 4
const COMMITS_WITHOUT_PAUSE = 32

export interface Gathering {
  /** A commit begins while `waiting` batches wait, which it commits. */
  began(waiting: number): void
  /** A commit of `size` batches has ended after `ms` milliseconds, while `waiting` others were waiting. */
  ended(size: number, waiting: number, ms: number): void
  /** The milliseconds for which the next commit waits for more batches; 0 if it begins at once. */
  pause(waiting: number): number
}

/** @param now milliseconds that only go up */
export function createGathering(now: () => number): Gathering {
  let expected = 0
  let end = 0
  let shortPauses = 0
  let withoutPause = 0
  return {
    began(waiting) {
      if (end === 0) return
      shortPauses = waiting < expected ? shortPauses + 1 : 0
      if (shortPauses < SHORT_PAUSES) return
      withoutPause = COMMITS_WITHOUT_PAUSE
      // The next pause is the trial.
      shortPauses = SHORT_PAUSES - 1
    },
    ended(size, waiting, ms) {
      expected = size + waiting
      end = ms < SLOW_MS || withoutPause > 0 ? 0 : now() + ms * PAUSE
      withoutPause = Math.max(0, withoutPause - 1)
    },
    pause: (waiting) => (waiting >= expected ? 0 : Math.max(0, end - now())),
  }
}
