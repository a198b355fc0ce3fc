/** Shows a line on standard error while work is in progress, if it takes longer than a second. */
import type { Terminal } from './terminal.ts'

const SHOW_AFTER_MS = 1000
const UPDATE_INTERVAL_MS = 500
/** A pipe or a file keeps every line, so a line that only counts down is written this often. */
const PIPED_INTERVAL_MS = 30_000

/** @param message what to show now; it is asked again for every update */
export async function withProgress<T>(io: Terminal, message: () => string, work: Promise<T>): Promise<T> {
  const interval = io.errIsTerminal ? UPDATE_INTERVAL_MS : PIPED_INTERVAL_MS
  let shown = ''
  const show = () => {
    const text = message()
    if (text !== shown) io.progress(text)
    shown = text
  }
  let updates: NodeJS.Timeout | undefined
  const delay = setTimeout(() => {
    show()
    updates = setInterval(show, interval)
  }, SHOW_AFTER_MS)
  try {
    return await work
  } finally {
    clearTimeout(delay)
    clearInterval(updates)
    if (shown !== '') io.progress('')
  }
}
