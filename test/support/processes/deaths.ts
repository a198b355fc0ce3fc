/** The ways in which a server dies in random-kills.ts. */
import type { ProcessOptions } from './process.ts'
import { THREAD_WRITES } from './writer-faults.ts'

/** From 0 to 1, as `Math.random`. */
export type RandomNumber = () => number

export interface Death {
  readonly name: string
  /** How its process is prepared. */
  readonly options?: Pick<ProcessOptions, 'flushDelay' | 'writerFault'>
  /** The process kills itself, possibly before it serves. */
  readonly byItself?: boolean
  /** What must be in the log before the process is killed. */
  readonly after?: string
  /** The store has outages before, so clients get 503 and repeat their requests. */
  readonly outages?: boolean
}

export const anyMoment = (): Death => ({ name: 'at any moment' })

/** Milliseconds. With the shortest the thread starts under load, with the longest before the server is ready. */
const FLUSH_DELAYS = [3, 5, 20]
/** About the time that the thread takes to start on a busy machine, in milliseconds. */
const THREAD_START = 150
const MOST_COMMITS = 40

/** Deaths of a server whose disk is slow, so that a thread writes. One kind after the other, so that few kills have all of them. */
export function slowDiskDeath(random: RandomNumber, round: number): Death {
  const flushDelay = FLUSH_DELAYS[Math.floor(random() * FLUSH_DELAYS.length)] ?? 20
  const writes = {
    commits: 1 + Math.floor(random() * MOST_COMMITS),
    // During the commit, or when the next one has begun.
    delay: Math.floor(random() * flushDelay * 1.5),
  }
  const ends = { after: 'the thread that writes to the database has ended', outages: true }
  const kinds: Death[] = [
    { name: 'while a thread writes', options: { flushDelay }, after: THREAD_WRITES },
    {
      name: 'while the thread starts',
      options: {
        flushDelay,
        writerFault: { how: 'kill', commits: 0, delay: Math.floor(random() * THREAD_START) },
      },
      byItself: true,
    },
    {
      name: 'while commits wait for the thread',
      options: { flushDelay, writerFault: { how: 'kill', ...writes } },
      byItself: true,
    },
    {
      name: 'after the thread ended',
      options: { flushDelay, writerFault: { how: 'exit', ...writes } },
      ...ends,
    },
    {
      name: 'after the thread failed',
      options: { flushDelay, writerFault: { how: 'error', ...writes } },
      ...ends,
    },
  ]
  return kinds[round % kinds.length] as Death
}
