/** The life of each key as a bar, for the terminal. Pure: (ring, now, policy, width) → text. */
import * as law from '../keys/ring.ts'
import type { Ring, RingKey } from '../store/contracts/ring.ts'
import type { EpochSeconds } from '../system.ts'
import { time } from './output.ts'

const PUBLISHED = '░'
const SIGNS = '█'
const LEAVING = '▒'
const LABEL = 22
/** Keys that left longer ago than the newest are history, not a timeline. */
const SHOWN = 12

export function timeline(ring: Ring, now: EpochSeconds, policy: law.RingPolicy, columns: number): string {
  const keys = [...ring.keys].sort((a, b) => a.publishedAt - b.publishedAt).slice(-SHOWN)
  const width = Math.max(20, Math.min(100, columns) - LABEL - 2)
  const ahead = law.automaticRotationAt(ring, policy) ?? now + policy.verifierCache
  const from = Math.min(...keys.map((key) => key.publishedAt))
  const until = Math.max(now + 1, ahead, ...keys.map((key) => law.leavesAt(key) ?? 0))
  const column = (at: EpochSeconds) => Math.round(((at - from) / (until - from)) * (width - 1))

  const bars = keys.map((key) => `${label(key)}${bar(key, column, until, width)}`)
  const marker = `${' '.repeat(LABEL + column(now))}▲ now ${time(now)}`
  const scale = `${' '.repeat(LABEL)}${time(from)}${time(until).padStart(width - 20)}`
  const legend = `${' '.repeat(LABEL)}${PUBLISHED} published  ${SIGNS} signs  ${LEAVING} retiring`
  return [...bars, marker, scale, legend, ''].join('\n')
}

function label({ kid, state }: RingKey): string {
  return `${kid.slice(0, 8)}… ${state}`.padEnd(LABEL)
}

function bar(key: RingKey, column: (at: EpochSeconds) => number, until: EpochSeconds, width: number): string {
  const signs = key.signsFrom ?? Number.POSITIVE_INFINITY
  const stops = key.stoppedAt ?? (key.state === 'active' ? until : Number.POSITIVE_INFINITY)
  const leaves = law.leavesAt(key) ?? until
  const cells = Array.from({ length: width }, (_, index) => {
    if (index < column(key.publishedAt) || index > column(leaves)) return ' '
    if (signs === Number.POSITIVE_INFINITY || index < column(signs)) return PUBLISHED
    return index <= column(Math.min(stops, until)) ? SIGNS : LEAVING
  })
  return cells.join('').trimEnd()
}
