/**
 * What a serving node does by the clock: follow what other processes change, rotate and retire keys when they
 * are due, and delete what has expired. Must not know how any of that is done.
 */
import type { Logger } from './system.ts'

/** "Within about a second" (CONTRACT §3), with room for a slow store. */
const FOLLOW_MS = 250
/** Followings between two looks at the ring's schedule, and between two sweeps. */
const MAINTAIN_EVERY = 4
const SWEEP_EVERY = 240

export interface Duties {
  /** Reads what has changed in the store. */
  follow(): Promise<void>
  /** Does what is due with the keys. */
  maintain(): Promise<void>
  /** Deletes a small batch of what has expired. */
  sweep(): Promise<void>
}

export interface Follower {
  /** Resolves when what is going on has ended. */
  stop(): Promise<void>
  /** null while following works; otherwise since when it does not, in words. */
  problem(): string | null
}

export function startFollower(duties: Duties, logger: Logger): Follower {
  let turn = 0
  let stopped = false
  let trouble: string | null = null
  let running: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined

  async function round(): Promise<void> {
    turn += 1
    try {
      await duties.follow()
      // At once after the start: the server may have been down when something was due.
      if (turn % MAINTAIN_EVERY === 1) await duties.maintain()
      if (turn % SWEEP_EVERY === 0) await duties.sweep()
      if (trouble !== null) logger.info('the store answers again')
      trouble = null
    } catch (error) {
      // Said once, not four times a second.
      if (trouble === null) logger.error({ err: error }, 'the store cannot be followed')
      trouble = 'the store cannot be followed'
    }
  }

  function schedule(): void {
    if (stopped) return
    timer = setTimeout(() => {
      running = round().finally(schedule)
    }, FOLLOW_MS)
    timer.unref()
  }

  schedule()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
    problem: () => trouble,
  }
}
