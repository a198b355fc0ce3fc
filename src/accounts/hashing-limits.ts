/**
 * Where this process hashes, and how many hashes may run at once. A hash takes 19 MiB and a processor for some hundredths of a second, and
 * tokens must not wait for it.
 */
import * as crypto from 'node:crypto'
import { availableParallelism, cpus, platform } from 'node:os'
import type { ConcurrencyLimits } from './concurrency-limiter.ts'
import { createHashingThreads } from './hashing-threads.ts'
import { hashOnThreads } from './password.ts'

/**
 * Also how many sign-ins can be counted as attempts and not be verified yet. Fewer than the attempts of one account from one IP prefix
 * (LIMITS in rate-limiter.ts), so that right passwords that are sent at once are not taken for guesses. Bounds the memory: 19 MiB for each
 * hash.
 */
export const MAX_CONCURRENT_HASHES = 4
/** On the thread pool, which also signs. */
export const MAX_HASHES_ON_POOL = 2
/** When this many hashes wait, the next login is refused with 503. */
export const MAX_WAITING_HASHES = 16

export interface Machine {
  /** Processors that this process may use: those of its container. */
  readonly available: number
  readonly processors: number
  /** Threads can have a priority of their own, and can hash. */
  readonly canYield: boolean
}

/**
 * Threads with a low priority may use every processor, because they give way to all others. But a container with a share of the
 * machine's processor time is stopped when its threads, of any priority, have used it up, so there one processor is left over.
 */
export function concurrentHashes({ available, processors, canYield }: Machine): number {
  if (!canYield) return Math.max(1, Math.min(MAX_HASHES_ON_POOL, available >> 1))
  const usable = available < processors ? available - 1 : available
  return Math.max(1, Math.min(MAX_CONCURRENT_HASHES, usable))
}

/** Only Linux has priorities of threads, and Node.js hashes with argon2 on any thread since 24.7. */
export const thisMachine = (): Machine => ({
  available: availableParallelism(),
  processors: cpus().length,
  canYield: platform() === 'linux' && 'argon2Sync' in crypto,
})

/** For a process that serves. Others hash on the thread pool, which they have to themselves. */
export function serveHashing(machine: Machine = thisMachine()): ConcurrencyLimits {
  const hashes = concurrentHashes(machine)
  if (!machine.canYield) return { running: hashes, waiting: MAX_WAITING_HASHES }
  hashOnThreads(createHashingThreads(hashes))
  // A sign-in counts as an attempt and reads its user before it hashes. Meanwhile the threads hash for others.
  const running = Math.min(2 * hashes, MAX_CONCURRENT_HASHES)
  return { running, waiting: MAX_WAITING_HASHES }
}
