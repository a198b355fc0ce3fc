/**
 * Limits how much work runs at once and how much waits in a queue. Password hashing shares the thread pool with signing, and each
 * hash takes tens of megabytes: without a limit, a flood of logins would block every other response. Must not know what the work is.
 */
import { KeyturnError } from '../errors.ts'
import type { Seconds } from '../system.ts'

/** The queue is full. The work was not started. */
export class Overloaded extends KeyturnError<'overloaded'> {
  readonly retryAfter: Seconds
  constructor(retryAfter: Seconds) {
    super('overloaded', 'too much password work is waiting')
    this.retryAfter = retryAfter
  }
}

interface ConcurrencyState {
  readonly running: number
  readonly waiting: number
  /** Refused since the server started. */
  readonly refused: number
}

export interface ConcurrencyLimiter {
  /** @throws {Overloaded} immediately if the queue is full */
  run<T>(work: () => Promise<T>): Promise<T>
  state(): ConcurrencyState
}

export interface ConcurrencyLimits {
  /** At most this many run at once. */
  readonly running: number
  /** At most this many wait; the next one is refused. */
  readonly waiting: number
}

export function createConcurrencyLimiter({
  running: maxRunning,
  waiting: maxWaiting,
}: ConcurrencyLimits): ConcurrencyLimiter {
  let running = 0
  let refused = 0
  const queue: (() => void)[] = []

  return {
    async run(work) {
      if (running >= maxRunning) {
        if (queue.length >= maxWaiting) {
          refused += 1
          throw new Overloaded(1)
        }
        await new Promise<void>((resolve) => queue.push(resolve))
      } else {
        running += 1
      }
      try {
        return await work()
      } finally {
        // The slot is passed to the first in the queue without being freed, so that a new caller cannot take it.
        const next = queue.shift()
        if (next) next()
        else running -= 1
      }
    },

    state: () => ({ running, waiting: queue.length, refused }),
  }
}
