/** Checks of the clocks. */
import type { EpochSeconds, Seconds } from '../../system.ts'
import { time } from '../time-text.ts'

/** Earlier than the first release. A clock that shows an earlier time has never been set. */
const EARLIEST_PLAUSIBLE_TIME: EpochSeconds = Date.UTC(2026, 0, 1) / 1000

export function checkClock(now: EpochSeconds): readonly [string] {
  if (now < EARLIEST_PLAUSIBLE_TIME)
    throw new Error(
      `${time(now)} cannot be the current time: set the clock, because every token depends on it`,
    )
  return [`it is ${time(now)}`]
}

/** Clocks that are synchronised differ by much less. */
const MAX_CLOCK_DIFFERENCE: Seconds = 5

/** @param aheadBy how far this machine is ahead of the database */
export function checkStoreClock(aheadBy: Seconds): readonly [string] {
  if (Math.abs(aheadBy) < MAX_CLOCK_DIFFERENCE) return ['equal to the clock of this machine']
  const difference = `${Math.abs(aheadBy)} s ${aheadBy > 0 ? 'behind' : 'ahead of'}`
  throw new Error(
    `the database clock, which all nodes use, is ${difference} this machine's: synchronise both (NTP)`,
  )
}
