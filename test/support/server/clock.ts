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

/** A clock that runs faster than the real one, identical in every process with the same two numbers. */
export interface ScaledClock {
  /** The real time, in milliseconds, at which both clocks agree. */
  readonly from: number
  readonly speed: number
}

export function scaledClock({ from, speed }: ScaledClock): Clock {
  return { now: () => Math.floor((from + (Date.now() - from) * speed) / 1000) }
}
