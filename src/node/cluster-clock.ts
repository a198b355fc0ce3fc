/**
 * What time it is, and what to do about clocks that are wrong. Nodes that share a store go by the store's clock: what one of
 * them writes (a code's end, the moment of a refresh) another reads, and their own clocks may differ by more than that.
 * Must not know what time is used for.
 */
import type { Ages, Clock, EpochSeconds, Logger, Steady } from '../system.ts'

export interface Timekeeper {
  /** What is stored, signed and judged goes by it. */
  readonly clock: Clock
  readonly ages: Ages
  /**
   * For what is due by the clock and cannot be taken back. After a jump ahead it stays behind for as long as the jump was, so
   * that what the clock has skipped really passes; a day at most.
   */
  prudentNow(): EpochSeconds
  /** Looks at the clocks; called by the follower. @throws {StoreUnavailable} */
  look(): Promise<void>
}

export interface TimekeeperDeps {
  readonly machine: Clock
  readonly steady: Steady
  readonly logger: Pick<Logger, 'warn'>
  /** The clock of a store that machines share, in milliseconds. */
  readonly ask: (() => Promise<number>) | undefined
}

export async function keepTime(deps: TimekeeperDeps): Promise<Timekeeper> {
  const { machine, steady, ask } = deps
  const ages = createAges(machine, steady)
  const shared = ask && (await createSharedClock({ ...deps, ask, ages }))
  const clock = shared ?? machine
  const prudence = createPrudence({ ...deps, clock })
  return {
    clock,
    ages,
    prudentNow: () => clock.now() - prudence.lag(),
    async look() {
      await shared?.look()
      prudence.lag()
    },
  }
}

/**
 * Ages by both clocks of the machine, whichever says more: a process that was frozen finds its time in either, a machine that
 * slept only in the one that is set.
 */
export const createAges = (machine: Clock, steady: Steady): Ages => ({
  mark: () => ({ at: machine.now(), steady: steady() }),
  since: (mark) => Math.max(steady() - mark.steady, Math.abs(machine.now() - mark.at) * 1000),
})

const ASK_EVERY_MS = 5000
/** Half of the way there and back is how wrong an answer may be. */
const PROMPT_MS = 1000
/** Between the machine's clock and the store's, before anybody is told. */
const TOLERATED = 5

interface SharedClock extends Clock {
  look(): Promise<void>
}

/** Between two answers it goes on by the clock that nobody sets. */
async function createSharedClock(
  deps: TimekeeperDeps & { ask: () => Promise<number>; ages: Ages },
): Promise<SharedClock> {
  const { machine, steady, ages, ask, logger } = deps
  let told = 0
  let answer = await sample()
  let asked = ages.mark()

  async function sample() {
    const sent = steady()
    const theirs = await ask()
    const at = steady()
    return { at, time: theirs + (at - sent) / 2, prompt: at - sent < PROMPT_MS }
  }

  const now = () => Math.floor((answer.time + steady() - answer.at) / 1000)

  function compare(): void {
    const ahead = machine.now() - now()
    if (Math.abs(ahead - told) < TOLERATED) return
    told = ahead
    const words = `${Math.abs(ahead)} s ${ahead > 0 ? 'ahead of' : 'behind'}`
    logger.warn(
      { seconds: ahead },
      `this machine's clock is ${words} that of the store, which all nodes go by`,
    )
  }

  compare()
  return {
    now,
    async look() {
      // More often after a sleep or a jump, of which the steady clock knows nothing.
      const slept = ages.since(asked) - (steady() - asked.steady) > 2000
      if (ages.since(asked) < ASK_EVERY_MS && !slept) return
      const mark = ages.mark()
      const next = await sample()
      if (next.prompt || slept || !answer.prompt) answer = next
      asked = mark
      compare()
    },
  }
}

/** A difference that no correction of a clock in use makes. */
const JUMP = 30
const LONGEST_LAG = 86_400

function createPrudence({
  clock,
  steady,
  logger,
}: Pick<TimekeeperDeps, 'steady' | 'logger'> & { clock: Clock }) {
  let seen = { at: clock.now(), steady: steady() }
  let lag = 0
  let until = 0

  return {
    lag(): number {
      const now = { at: clock.now(), steady: steady() }
      const jump = Math.round(now.at - seen.at - (now.steady - seen.steady) / 1000)
      seen = now
      if (now.steady >= until) lag = 0
      if (Math.abs(jump) >= JUMP) {
        lag = Math.min(LONGEST_LAG, Math.max(0, lag + jump))
        until = now.steady + lag * 1000
        const words =
          jump > 0
            ? `ahead by ${jump} s; no key leaves or takes over before they have passed`
            : `back by ${-jump} s`
        logger.warn({ seconds: jump }, `the clock has jumped ${words}`)
      }
      return lag
    },
  }
}
