/** Draws the lifetime of each key as a bar. Pure: (keys, times, columns) → text. */
import type { KeyView } from '../admin/keys.schema.ts'
import type { EpochSeconds } from '../system.ts'
import { time } from './output.ts'

const PUBLISHED = '░'
const SIGNING = '█'
const RETIRING = '▒'
const LABEL_WIDTH = 22
/** Older keys are left out. */
const MAX_KEYS = 12

export interface Times {
  readonly now: EpochSeconds
  /** The picture reaches at least this far. */
  readonly until: EpochSeconds
}

export function timeline(all: readonly KeyView[], { now, until: atLeast }: Times, columns: number): string {
  const keys = [...all]
    .sort((a, b) => a.published_at - b.published_at)
    .slice(-MAX_KEYS)
    .sort((a, b) => (a.alg === b.alg ? 0 : a.alg < b.alg ? -1 : 1))
  const isOfSeveral = new Set(keys.map(({ alg }) => alg)).size > 1
  const width = Math.max(20, Math.min(100, columns) - LABEL_WIDTH - 2)
  const from = Math.min(...keys.map((key) => key.published_at))
  const until = Math.max(now + 1, atLeast, ...keys.map((key) => key.leaves_at ?? 0))
  const column = (at: EpochSeconds) => Math.round(((at - from) / (until - from)) * (width - 1))

  const bars = keys.map((key, index) => {
    const heading = isOfSeveral && key.alg !== keys[index - 1]?.alg ? `${key.alg}\n` : ''
    return `${heading}${label(key)}${bar(key, column, until, width)}`
  })
  const marker = `${' '.repeat(LABEL_WIDTH + column(now))}▲ now ${time(now)}`
  const scale = `${' '.repeat(LABEL_WIDTH)}${time(from)}${time(until).padStart(width - 20)}`
  const legend = `${' '.repeat(LABEL_WIDTH)}${PUBLISHED} published  ${SIGNING} signs  ${RETIRING} retiring`
  return [...bars, marker, scale, legend, ''].join('\n')
}

function label({ kid, state }: KeyView): string {
  return `${shortKid(kid)} ${state}`.padEnd(LABEL_WIDTH)
}

/** As an operator can type it. */
export const shortKid = (kid: string): string => (kid.length > 9 ? `${kid.slice(0, 8)}…` : kid)

function bar(key: KeyView, column: (at: EpochSeconds) => number, until: EpochSeconds, width: number): string {
  const signs = key.signs_from ?? Number.POSITIVE_INFINITY
  const stops = key.stopped_at ?? (key.state === 'active' ? until : Number.POSITIVE_INFINITY)
  const leaves = key.leaves_at ?? until
  const cells = Array.from({ length: width }, (_, index) => {
    if (index < column(key.published_at) || index > column(leaves)) return ' '
    if (signs === Number.POSITIVE_INFINITY || index < column(signs)) return PUBLISHED
    return index <= column(Math.min(stops, until)) ? SIGNING : RETIRING
  })
  return cells.join('').trimEnd()
}
