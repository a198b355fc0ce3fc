/** Shows a line on standard error while work is in progress, if it takes longer than a second. */
import type { Terminal } from './terminal.ts'

const SHOW_AFTER_MS = 1000
const UPDATE_INTERVAL_MS = 500

export async function withProgress<T>(io: Terminal, message: () => string, work: Promise<T>): Promise<T> {
  let shown = ''
  const show = () => {
    const text = message()
    io.eraseLine()
    if (io.errIsTerminal) io.err(text)
    else if (text !== shown && shown === '') io.err(`${text}\n`)
    shown = text
  }
  let interval: NodeJS.Timeout | undefined
  const delay = setTimeout(() => {
    show()
    interval = setInterval(show, UPDATE_INTERVAL_MS)
  }, SHOW_AFTER_MS)
  try {
    return await work
  } finally {
    clearTimeout(delay)
    clearInterval(interval)
    if (shown !== '') io.eraseLine()
  }
}
