/**
 * What a serving node does by the clock: follow what other processes change, say that it is there, tell clients of sign-outs, rotate and
 * retire keys when they are due, and delete what has expired. Must not know how any of that is done.
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
  /** Begins to tell clients of sessions that have ended; waits for none of them. */
  notify(): Promise<void>
  /** Says that this node is there, if it is time to. */
  beat(): Promise<void>
  /** Does what is due with the keys. */
  maintain(): Promise<void>
  /** Deletes a small batch of what has expired. */
  sweep(): Promise<void>
  /** Ends what duties have begun. */
  stop(): Promise<void>
}

type Duty = Exclude<keyof Duties, 'stop'>

export interface Follower {
  /** Resolves when what is going on has ended. */
  stop(): Promise<void>
  /** null while following works; otherwise what does not, in words. */
  problem(): string | null
}

export function startFollower(duties: Duties, logger: Logger): Follower {
  let turn = 0
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  const failing = new Set<Duty>()

  async function attempt(duty: Duty): Promise<void> {
    try {
      await duties[duty]()
      if (failing.delete(duty)) logger.info({ duty }, 'a duty is done again')
    } catch (error) {
      // Said once, not four times a second.
      if (!failing.has(duty)) logger.error({ duty, err: error }, 'a duty cannot be done')
      failing.add(duty)
    }
  }

  async function round(): Promise<void> {
    turn += 1
    await attempt('follow')
    await attempt('beat')
    await attempt('notify')
    // At once after the start: the server may have been down when something was due.
    if (turn % MAINTAIN_EVERY === 1) await attempt('maintain')
    if (turn % SWEEP_EVERY === 0) await attempt('sweep')
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
      await duties.stop()
    },
    // A rotation or a sweep that fails is for the operator; the node serves as well as before.
    problem: () => (failing.has('follow') ? 'the store cannot be followed' : null),
  }
}
