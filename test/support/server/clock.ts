import type { Clock, EpochSeconds, Seconds } from '../../../src/system.ts'

/** A clock that stands still until advanced. */
export interface TestClock extends Clock {
  tick(seconds: Seconds): void
  set(at: EpochSeconds): void
}

/** Starts at a whole, recent second: libraries that use the real clock must not find tokens from the future. */
export function testClock(start: EpochSeconds = Math.floor(Date.now() / 1000)): TestClock {
  let now = start
  return {
    now: () => now,
    tick(seconds) {
      now += seconds
    },
    set(at) {
      now = at
    },
  }
}

/**
 * The real clock, and what the test advances it by. For servers whose clients are programs or libraries: they sign the real time, and on a
 * busy machine they may do so long after the server has started. A clock that stands still would refuse what is signed later than that.
 */
export function runningClock(): TestClock {
  let ahead = 0
  const now = () => Math.floor(Date.now() / 1000) + ahead
  return {
    now,
    tick(seconds) {
      ahead += seconds
    },
    set(at) {
      ahead += at - now()
    },
  }
}

/** A clock that runs faster than the real one, identical in every process with the same numbers. */
export interface ScaledClock {
  /** A real time, in milliseconds. */
  readonly from: number
  /** What the clock shows then; default: the same. */
  readonly at?: number
  readonly speed: number
}

export function scaledClock({ from, at = from, speed }: ScaledClock): Clock {
  return { now: () => Math.floor((at + (Date.now() - from) * speed) / 1000) }
}

/** The clock as it goes on from now with another speed. */
export function withSpeed({ from, at = from, speed }: ScaledClock, next: number): ScaledClock {
  const now = Date.now()
  return { from: now, at: at + (now - from) * speed, speed: next }
}
