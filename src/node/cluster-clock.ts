/**
 * The time that all nodes agree on, and what to do about clocks that are wrong. Nodes that share a store go by the store's
 * clock: what one node writes (the expiry of a code, the time of a refresh) another node reads, and the clocks of machines may
 * differ by more than these times allow. Must not know what time is used for.
 */
import type { Ages, Clock, EpochSeconds, Logger, Monotonic } from '../system.ts'

export interface ClusterClock {
  /** The time for everything that is stored, signed or checked. */
  readonly clock: Clock
  readonly ages: Ages
  /**
   * Lower bound on the time, for irreversible actions. After a jump ahead it stays behind by the jump until that much time has
   * really passed, at most for a day.
   */
  conservativeNow(): EpochSeconds
  /** Reads the clocks again; called by the change poller. @throws {StoreUnavailable} */
  poll(): Promise<void>
}

export interface ClusterClockDeps {
  /** The clock of this machine. */
  readonly machine: Clock
  readonly monotonic: Monotonic
  readonly logger: Pick<Logger, 'warn'>
  /** Reads the clock of a store that machines share, in milliseconds. undefined for a store on this machine. */
  readonly storeTime: (() => Promise<number>) | undefined
}

export async function createClusterClock(deps: ClusterClockDeps): Promise<ClusterClock> {
  const { machine, monotonic, storeTime } = deps
  const ages = createAges(machine, monotonic)
  const shared = storeTime && (await createSharedClock({ ...deps, storeTime, ages }))
  const clock = shared ?? machine
  const jumps = createJumpDetector({ ...deps, clock })
  return {
    clock,
    ages,
    conservativeNow: () => clock.now() - jumps.lag(),
    async poll() {
      await shared?.poll()
      jumps.lag()
    },
  }
}

/**
 * Ages by both clocks of the machine, whichever says more. Both count the time that a process was frozen; only the clock that
 * can be set counts the time that the machine slept.
 */
export const createAges = (machine: Clock, monotonic: Monotonic): Ages => ({
  mark: () => ({ at: machine.now(), monotonic: monotonic() }),
  since: (mark) => Math.max(monotonic() - mark.monotonic, Math.abs(machine.now() - mark.at) * 1000),
})

export const CLOCK_READ_INTERVAL_MS = 5000
/** An answer may be wrong by half of the time that it took. Slower answers are used only if there is no better one. */
const PROMPT_MS = 1000
/** Difference between the machine's clock and the store's from which it is logged. */
export const TOLERATED_CLOCK_DIFFERENCE = 5
const SLEEP_MS = 2000

interface SharedClock extends Clock {
  poll(): Promise<void>
}

/** The store's clock, which goes on by the machine's monotonic clock between two answers of the store. */
async function createSharedClock(
  deps: ClusterClockDeps & { storeTime: () => Promise<number>; ages: Ages },
): Promise<SharedClock> {
  const { machine, monotonic, ages, storeTime, logger } = deps
  let logged = 0
  let sample = await read()
  let readAt = ages.mark()

  async function read() {
    const sent = monotonic()
    const theirs = await storeTime()
    const at = monotonic()
    return { at, time: theirs + (at - sent) / 2, prompt: at - sent < PROMPT_MS }
  }

  const now = () => Math.floor((sample.time + monotonic() - sample.at) / 1000)

  function compare(): void {
    const ahead = machine.now() - now()
    if (Math.abs(ahead - logged) < TOLERATED_CLOCK_DIFFERENCE) return
    logged = ahead
    const difference = `${Math.abs(ahead)} s ${ahead > 0 ? 'ahead of' : 'behind'}`
    logger.warn(
      { seconds: ahead },
      `this machine's clock is ${difference} the store's clock, which all nodes use`,
    )
  }

  compare()
  return {
    now,
    async poll() {
      // Sooner after a sleep or a jump, which the monotonic clock does not notice.
      const slept = ages.since(readAt) - (monotonic() - readAt.monotonic) > SLEEP_MS
      if (ages.since(readAt) < CLOCK_READ_INTERVAL_MS && !slept) return
      const mark = ages.mark()
      const next = await read()
      if (next.prompt || slept || !sample.prompt) sample = next
      readAt = mark
      compare()
    },
  }
}

/** A difference that no gradual correction of a clock makes. */
export const CLOCK_JUMP = 30
export const MAX_CLOCK_LAG = 86_400

function createJumpDetector({
  clock,
  monotonic,
  logger,
}: Pick<ClusterClockDeps, 'monotonic' | 'logger'> & { clock: Clock }) {
  let seen = { at: clock.now(), monotonic: monotonic() }
  let lag = 0
  let until = 0

  return {
    /** By how much the conservative time is behind the clock. */
    lag(): number {
      const now = { at: clock.now(), monotonic: monotonic() }
      const jump = Math.round(now.at - seen.at - (now.monotonic - seen.monotonic) / 1000)
      seen = now
      if (now.monotonic >= until) lag = 0
      if (Math.abs(jump) >= CLOCK_JUMP) {
        lag = Math.min(MAX_CLOCK_LAG, Math.max(0, lag + jump))
        until = now.monotonic + lag * 1000
        const message =
          jump > 0
            ? `ahead by ${jump} s; keys are not rotated or retired until that much time has passed`
            : `back by ${-jump} s`
        logger.warn({ seconds: jump }, `the clock has jumped ${message}`)
      }
      return lag
    },
  }
}
