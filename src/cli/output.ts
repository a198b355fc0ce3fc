/** Output for a terminal: tables, records, times and durations. */
import width from 'fast-string-width'
import { printable } from '../printable.ts'

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

export { count } from '../admin/count.ts'
export { span, time } from '../admin/time-text.ts'

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
