/** Durations, rates and numbers as the tables of the documents write them. */
import type { Seconds } from '../../../src/system.ts'

const UNITS: readonly (readonly [size: Seconds, unit: string])[] = [
  [86_400, 'day'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
]

/** `7 days`, `1 h 40 min`. */
export function duration(seconds: Seconds): string {
  let rest = seconds
  const parts = UNITS.map(([size, unit]) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return count === 0 ? '' : `${count} ${unit}${unit === 'day' && count > 1 ? 's' : ''}`
  })
  return parts.filter(Boolean).join(' ')
}

/** `one every 5 s`, `one every hour`, `100 a second`. */
function rate(interval: Seconds): string {
  if (interval < 1) return `${Math.round(1 / interval)} a second`
  const unit = { 1: 'second', 60: 'minute', 3600: 'hour' }[interval]
  return `one every ${unit ?? duration(interval)}`
}

/** What a bucket allows: `50 at once, then one every 5 s`. */
export const bucket = ({ burst, interval }: { burst: number; interval: Seconds }): string =>
  `${grouped(burst)} at once, then ${rate(interval)}`

/** `1,048,576` */
export const grouped = (count: number): string => count.toLocaleString('en')
