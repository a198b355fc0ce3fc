/**
 * The threads that hash. A thread starts when all others are busy, and ends when it has had nothing to do for a while. If all are
 * busy, hashes wait, in the order in which they came. Must not know what the hashes are for.
 */
import { type HashingThread, type HashRequest, startHashingThread } from './hashing-thread.ts'

/** A thread takes 13 MB, and a few hundredths of a second to start. */
export const IDLE_MS = 10_000

export type HashOnThread = (request: HashRequest) => Promise<Uint8Array>

/** @param max how many threads there are at most */
export function createHashingThreads(
  max: number,
  start: () => HashingThread = startHashingThread,
): HashOnThread {
  /** The one that was used last is at the end, and used first, so that the others can end. */
  const idle: { readonly thread: HashingThread; readonly timer: NodeJS.Timeout }[] = []
  const waiting: (() => void)[] = []
  let busy = 0

  function rest(thread: HashingThread): void {
    const timer = setTimeout(() => {
      idle.splice(
        idle.findIndex((one) => one.thread === thread),
        1,
      )
      thread.end()
    }, IDLE_MS)
    idle.push({ thread, timer: timer.unref() })
  }

  async function hashNow(request: HashRequest): Promise<Uint8Array> {
    const rested = idle.pop()
    clearTimeout(rested?.timer)
    const thread = rested?.thread ?? start()
    try {
      const hash = await thread.hash(request)
      rest(thread)
      return hash
    } catch (error) {
      thread.end()
      throw error
    }
  }

  return async (request) => {
    if (busy < max) busy += 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await hashNow(request)
    } finally {
      // The place is passed on without being freed, so that a new hash cannot take it.
      const next = waiting.shift()
      if (next) next()
      else busy -= 1
    }
  }
}
