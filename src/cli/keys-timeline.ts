/** Draws the lifetime of each key as a bar. Pure: (ring, now, policy, columns) → text. */
import { automaticRotationAt, leavesAt, type RingPolicy } from '../keys/ring.ts'
import type { Ring, RingKey } from '../store/contracts/ring.ts'
import type { EpochSeconds } from '../system.ts'
import { time } from './output.ts'

const PUBLISHED = '░'
const SIGNING = '█'
const RETIRING = '▒'
const LABEL_WIDTH = 22
/** Older keys are left out. */
const MAX_KEYS = 12

export function timeline(ring: Ring, now: EpochSeconds, policy: RingPolicy, columns: number): string {
  const keys = [...ring.keys].sort((a, b) => a.publishedAt - b.publishedAt).slice(-MAX_KEYS)
  const width = Math.max(20, Math.min(100, columns) - LABEL_WIDTH - 2)
  const nextChange = automaticRotationAt(ring, policy) ?? now + policy.verifierCache
  const from = Math.min(...keys.map((key) => key.publishedAt))
  const until = Math.max(now + 1, nextChange, ...keys.map((key) => leavesAt(key) ?? 0))
  const column = (at: EpochSeconds) => Math.round(((at - from) / (until - from)) * (width - 1))

  const bars = keys.map((key) => `${label(key)}${bar(key, column, until, width)}`)
  const marker = `${' '.repeat(LABEL_WIDTH + column(now))}▲ now ${time(now)}`
  const scale = `${' '.repeat(LABEL_WIDTH)}${time(from)}${time(until).padStart(width - 20)}`
  const legend = `${' '.repeat(LABEL_WIDTH)}${PUBLISHED} published  ${SIGNING} signs  ${RETIRING} retiring`
  return [...bars, marker, scale, legend, ''].join('\n')
}

function label({ kid, state }: RingKey): string {
  return `${shortKid(kid)} ${state}`.padEnd(LABEL_WIDTH)
}

/** As an operator can type it. */
export const shortKid = (kid: string): string => (kid.length > 9 ? `${kid.slice(0, 8)}…` : kid)

function bar(key: RingKey, column: (at: EpochSeconds) => number, until: EpochSeconds, width: number): string {
  const signs = key.signsFrom ?? Number.POSITIVE_INFINITY
  const stops = key.stoppedAt ?? (key.state === 'active' ? until : Number.POSITIVE_INFINITY)
  const leaves = leavesAt(key) ?? until
  const cells = Array.from({ length: width }, (_, index) => {
    if (index < column(key.publishedAt) || index > column(leaves)) return ' '
    if (signs === Number.POSITIVE_INFINITY || index < column(signs)) return PUBLISHED
    return index <= column(Math.min(stops, until)) ? SIGNING : RETIRING
  })
  return cells.join('').trimEnd()
}
