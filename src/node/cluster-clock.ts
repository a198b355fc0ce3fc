/**
 * The time that all nodes agree on, and the detection of wrong clocks. Nodes that share a store use the store's clock: one node
 * reads times that another node has written (the expiry of a code, the time of a refresh), and the clocks of machines may differ
 * by more than these times tolerate. Must not know what the time is used for.
 */
import type { Ages, Clock, EpochSeconds, Logger, Monotonic } from '../system.ts'

export interface ClusterClock {
  /** The clock for everything that is stored, signed or checked. */
  readonly clock: Clock
  readonly ages: Ages
  /**
   * Lower bound on the time, for irreversible actions. After the clock has jumped ahead, this lower bound stays behind the
   * clock by the size of the jump until that much time has passed on the monotonic clock, but for at most a day.
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
 * An age is the larger of the ages by the machine's two clocks. Both count the time while a process is frozen; only the clock that
 * can be set counts the time while the machine sleeps.
 */
export const createAges = (machine: Clock, monotonic: Monotonic): Ages => ({
  mark: () => ({ at: machine.now(), monotonic: monotonic() }),
  since: (mark) => Math.max(monotonic() - mark.monotonic, Math.abs(machine.now() - mark.at) * 1000),
})

export const CLOCK_READ_INTERVAL_MS = 5000
/** A response may be wrong by half of its round-trip time. Slower responses are used only if there is no better one. */
const PROMPT_MS = 1000
/** If the machine's clock and the store's differ by at least this much, the difference is logged. */
export const TOLERATED_CLOCK_DIFFERENCE = 5
const SLEEP_MS = 2000

interface SharedClock extends Clock {
  poll(): Promise<void>
}

/** The store's clock. Between two readings, the machine's monotonic clock advances it. */
async function createSharedClock(
  deps: ClusterClockDeps & { storeTime: () => Promise<number>; ages: Ages },
): Promise<SharedClock> {
  const { machine, monotonic, ages, storeTime, logger } = deps
  let logged = 0
  let sample = await read()
  let readAt = ages.mark()

  async function read() {
    const sent = monotonic()
    const storeMs = await storeTime()
    const at = monotonic()
    return { at, time: storeMs + (at - sent) / 2, prompt: at - sent < PROMPT_MS }
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
      // After the machine slept or its clock jumped, the store's clock is read sooner, because the monotonic clock notices neither.
      const slept = ages.since(readAt) - (monotonic() - readAt.monotonic) > SLEEP_MS
      if (ages.since(readAt) < CLOCK_READ_INTERVAL_MS && !slept) return
      const mark = ages.mark()
      const newSample = await read()
      if (newSample.prompt || slept || !sample.prompt) sample = newSample
      readAt = mark
      compare()
    },
  }
}

/** A gradual correction of a clock never causes a difference as large as this. */
export const CLOCK_JUMP = 30
export const MAX_CLOCK_LAG = 86_400

function createJumpDetector({
  clock,
  monotonic,
  logger,
}: Pick<ClusterClockDeps, 'monotonic' | 'logger'> & { clock: Clock }) {
  let last = { at: clock.now(), monotonic: monotonic() }
  let lag = 0
  let until = 0

  return {
    /** How far the conservative time is behind the clock. */
    lag(): number {
      const now = { at: clock.now(), monotonic: monotonic() }
      const jump = Math.round(now.at - last.at - (now.monotonic - last.monotonic) / 1000)
      last = now
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
