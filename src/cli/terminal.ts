/**
 * The only path from a command to the terminal. Everything that is printed goes through `printableLines`, so that no command can
 * forget it; the only control sequence is that of `eraseLine`. Must not know what is printed.
 */
import { printable, printableLines } from '../printable.ts'
import type { Io } from './io.ts'

export interface Terminal extends Io {
  /** Removes the unfinished line on standard error, if that is a terminal. */
  eraseLine(): void
}

export function openTerminal(io: Io): Terminal {
  return {
    ...io,
    // Control characters are escaped in JSON's own syntax, so that a JSON document keeps its value.
    out: (text) => io.out(printableLines(text)),
    err: (text) => io.err(printableLines(text)),
    askSecret: (question) => io.askSecret(printable(question)),
    eraseLine: () => {
      if (io.errIsTerminal) io.err('\r\u001B[K')
    },
  }
}
