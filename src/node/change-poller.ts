/**
 * What a serving node does by the clock: follow what other processes change, say that it is there, tell clients of sign-outs, rotate and
 * retire keys when they are due, and delete what has expired. Where others tell of their changes, it follows at once. Must not know
 * how any of that is done.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { singleFlight } from '../single-flight.ts'
import type { ChangeListener, Changes } from '../store/db.ts'
import type { Logger } from '../system.ts'

/** Between two looks at the store: as long as nobody tells of changes, and while somebody does, who may miss one. */
const ALONE_MS = 250
/** "Within about a second" (CONTRACT §3), and before what is held counts as old (freshness.ts). */
export const TOLD_MS = 750
/** After one look because of a change, so that a burst of them costs a few. */
const BREATH_MS = 25
const MAINTAIN_MS = 1000
const SWEEP_MS = 60_000

export interface Duties {
  /** Reads what has changed in the store. */
  follow(): Promise<void>
  /** Begins to tell clients of sessions that have ended; waits for none of them. */
  notify(): Promise<void>
  /** Says that this node is there, if it is time to. */
  beat(): Promise<void>
  /** Does what is due with the keys. */
  maintain(): Promise<void>
  /** Deletes what has expired, in small batches; ends early when it is stopped. */
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

export interface FollowerOptions {
  /** How to hear of changes, where the store can tell. */
  readonly changes?: ((listener: ChangeListener) => Changes) | undefined
  /** Milliseconds between two looks, and between two sweeps. */
  readonly every?: { readonly alone: number; readonly told: number; readonly sweep?: number }
}

export function startFollower(duties: Duties, logger: Logger, options: FollowerOptions = {}): Follower {
  const { changes, every = { alone: ALONE_MS, told: TOLD_MS } } = options
  let told = false
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  let breath: Promise<unknown> = Promise.resolve()
  let coming = false
  let timer: NodeJS.Timeout | undefined
  // At once after the start: the server may have been down when something was due.
  let sinceMaintained = MAINTAIN_MS
  let sinceSwept = 0
  const sweep = singleFlight(() => attempt('sweep'))
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

  async function look(): Promise<void> {
    await attempt('follow')
    await attempt('beat')
    await attempt('notify')
  }

  async function round(waited: number): Promise<void> {
    await look()
    sinceMaintained += waited
    sinceSwept += waited
    if (sinceMaintained >= MAINTAIN_MS) {
      sinceMaintained = 0
      await attempt('maintain')
    }
    if (sinceSwept >= (every.sweep ?? SWEEP_MS)) {
      sinceSwept = 0
      // Beside all else: after a long time without a server it takes minutes.
      sweep()
    }
  }

  /** One thing at a time. */
  function inTurn(work: () => Promise<void>): Promise<void> {
    running = running.then(work)
    return running
  }

  function schedule(): void {
    clearTimeout(timer)
    if (stopped) return
    const wait = told ? every.told : every.alone
    timer = setTimeout(() => inTurn(() => round(wait)).finally(schedule), wait)
    timer.unref()
  }

  /** One look for all that comes before it begins. */
  function heard(): void {
    if (coming || stopped) return
    coming = true
    inTurn(async () => {
      await breath
      coming = false
      if (stopped) return
      await look()
      breath = sleep(BREATH_MS)
    })
  }

  const hearing = changes?.({
    onChange: heard,
    onStateChange(hearing, why) {
      told = hearing === 'listening'
      const often = `the store is looked at every ${told ? every.told : every.alone} ms`
      if (told) logger.info(`changes of other nodes are heard of at once; ${often}`)
      else if (hearing === 'lost') logger.warn({ err: why }, `changes are not heard of for now; ${often}`)
      else logger.info({ err: why }, `this store does not tell of changes; ${often}`)
      schedule()
    },
  })

  schedule()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await hearing?.stop()
      await running
      await duties.stop()
      await sweep.settled()
    },
    // A rotation or a sweep that fails is for the operator; the node serves as well as before.
    problem: () => (failing.has('follow') ? 'the store cannot be followed' : null),
  }
}
