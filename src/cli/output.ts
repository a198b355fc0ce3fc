/** Output for a terminal: tables, records, times and durations. */
import width from 'fast-string-width'
import { printable } from '../printable.ts'
import type { EpochSeconds, Seconds } from '../system.ts'

/** A table with aligned columns. null and undefined are empty cells. A cell is always one line. */
export function table(columns: readonly string[], rows: readonly (readonly unknown[])[]): string {
  if (rows.length === 0) return 'none\n'
  const lines = [columns, ...rows.map((row) => row.map((cell) => printable(String(cell ?? ''))))]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => width(line[i] ?? ''))))
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, i) => padEnd(cell, widths[i]))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** Pads to a width in terminal columns; an ideograph takes two. */
function padEnd(cell: string, columns = 0): string {
  return cell + ' '.repeat(columns - width(cell))
}

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

export { count } from '../admin/count.ts'

/** One record: names on the left, values on the right, a dash for a missing value. */
export function record(fields: Readonly<Record<string, unknown>>): string {
  const nameWidth = Math.max(...Object.keys(fields).map((name) => name.length))
  return Object.entries(fields)
    .map(([name, value]) => `${name.padEnd(nameWidth)}  ${cell(value)}\n`)
    .join('')
}

function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  if (Array.isArray(value)) return value.length === 0 ? '-' : printable(value.join(' '))
  return printable(typeof value === 'object' ? JSON.stringify(value) : String(value))
}
