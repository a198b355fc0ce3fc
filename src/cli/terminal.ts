/**
 * The only path from a command to the terminal. Everything that is printed goes through `printableLines`, so that no command can
 * forget it; the only control sequence is the one that erases the line of progress. Must not know what is printed.
 */
import { printable, printableLines } from '../printable.ts'
import type { Io } from './io.ts'

export interface Terminal extends Io {
  /**
   * Shows what the command is doing on standard error: on a terminal as one line, which the next output of any kind replaces, and
   * otherwise as a line of its own. An empty text only removes the line.
   */
  progress(text: string): void
}

export function openTerminal(io: Io): Terminal {
  /** Whether an unfinished line is on the terminal. */
  let unfinished = false
  const erase = () => {
    if (unfinished) io.err('\r\u001B[K')
    unfinished = false
  }
  return {
    ...io,
    // Control characters are escaped in JSON's own syntax, so that a JSON document keeps its value.
    out(text) {
      erase()
      io.out(printableLines(text))
    },
    err(text) {
      erase()
      io.err(printableLines(text))
    },
    askSecret(question) {
      erase()
      return io.askSecret(printable(question))
    },
    confirm(question) {
      erase()
      return io.confirm(printable(question))
    },
    progress(text) {
      erase()
      if (text === '') return
      unfinished = io.errIsTerminal
      io.err(unfinished ? printable(text) : `${printable(text)}\n`)
    },
  }
}
