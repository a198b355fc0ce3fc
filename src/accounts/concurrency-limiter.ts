/**
 * A door that few may pass at once and few may wait at. Password hashing shares the thread pool with signing
 * and takes memory by the tens of megabytes: without a door, a flood of logins would stop every other answer.
 * Must not know what is done behind it.
 */
import { KeyturnError } from '../errors.ts'
import type { Seconds } from '../system.ts'

/** The door is crowded; nothing was done. */
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
  /** Turned away since the start. */
  readonly refused: number
}

export interface ConcurrencyLimiter {
  /** @throws {Overloaded} at once if the queue is full */
  run<T>(work: () => Promise<T>): Promise<T>
  state(): ConcurrencyState
}

export interface ConcurrencyLimits {
  /** At once. */
  readonly running: number
  /** Waiting for their turn. */
  readonly waiting: number
}

export function createConcurrencyLimiter({
  running: limit,
  waiting: room,
}: ConcurrencyLimits): ConcurrencyLimiter {
  let running = 0
  let refused = 0
  const queue: (() => void)[] = []

  return {
    async run(work) {
      if (running >= limit) {
        if (queue.length >= room) {
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
        // The place is handed over rather than given up, so nobody can slip in between.
        const next = queue.shift()
        if (next) next()
        else running -= 1
      }
    },

    state: () => ({ running, waiting: queue.length, refused }),
  }
}
