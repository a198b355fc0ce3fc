/** Moments as people write them in options. Must not know what they select. */
import type { EpochSeconds } from '../system.ts'

export interface Moment {
  readonly at: EpochSeconds
  /** Whether the text names a zone. Without one, a moment is in UTC, as all output of commands is. */
  readonly hasZone: boolean
}

const MOMENT =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?: ?(?:(Z)|([+-])(\d\d):?(\d\d)))?)?$/i

/**
 * Parses a date, or a date and time (RFC 3339 §5.6; the seconds, the `T` and the zone may be missing). null if there is no such moment:
 * JavaScript would read 30 February as 2 March, and a time without a zone in the zone of the machine.
 */
export function parseMoment(text: string): Moment | null {
  const match = MOMENT.exec(text)
  if (!match) return null
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, fraction = 0] = match
    .slice(1, 8)
    .map((part) => Number(part ?? 0))
  const [, , , , , , , , utc, sign, hours = '0', minutes = '0'] = match
  const written = [year, month, day, hour, minute, second]
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second))
  const read = [
    date.getUTCFullYear(),
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
  ]
  if (read.join() !== written.join() || Number(hours) > 23 || Number(minutes) > 59) return null
  const offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -60 : 60)
  const at = date.getTime() / 1000 - offset + (fraction > 0 ? 1 : 0)
  return { at, hasZone: utc !== undefined || sign !== undefined }
}
