/** Times and durations in messages and tables. */
import type { EpochSeconds, Seconds } from '../system.ts'

/** `2026-01-31 12:00:00Z`, or an empty string for null. */
export function time(at: EpochSeconds | null): string {
  return at === null ? '' : `${new Date(at * 1000).toISOString().slice(0, 19).replace('T', ' ')}Z`
}

/** A duration in its two largest units: `3d 4h`. */
export function span(seconds: Seconds): string {
  const units: [string, number][] = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ]
  let rest = Math.max(0, Math.round(seconds))
  const parts: string[] = []
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size)
    if (count > 0 && parts.length < 2) parts.push(`${count}${unit}`)
    rest -= count * size
  }
  return parts.join(' ') || '0s'
}
