/** A line on standard error while something takes its time; nothing if it is done within a second. */
import type { Io } from './io.ts'

const AFTER_MS = 1000
const EVERY_MS = 500

export async function withProgress<T>(io: Io, what: () => string, work: Promise<T>): Promise<T> {
  let shown = ''
  const show = () => {
    const text = what()
    if (io.errIsTerminal) io.err(`\r\u001B[K${text}`)
    else if (text !== shown && shown === '') io.err(`${text}\n`)
    shown = text
  }
  let every: NodeJS.Timeout | undefined
  const first = setTimeout(() => {
    show()
    every = setInterval(show, EVERY_MS)
  }, AFTER_MS)
  try {
    return await work
  } finally {
    clearTimeout(first)
    clearInterval(every)
    if (shown !== '' && io.errIsTerminal) io.err('\r\u001B[K')
  }
}
