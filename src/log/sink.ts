/**
 * Where log lines go: never blocks the event loop, never throws, never keeps the process from ending. Pino's own
 * destination crashes the process when the disk is full and waits for ever at exit for a reader who is gone.
 * Must not know what a line says.
 */
import { openSync, write } from 'node:fs'

export interface Sink {
  write(line: string): void
}

/** Lines that wait for a reader who has stopped reading, or for space; what comes after is dropped. */
const MOST_WAITING = 4_194_304
const RETRY_MS = 20
/** Tries without success for which an ending process still waits. */
const PATIENCE = 25

/**
 * @param destination a file descriptor or a path
 * @param dropped told how many lines were lost, once lines can be written again
 */
export function createSink(destination: number | string, dropped: (lines: number) => void = () => {}): Sink {
  const fd = typeof destination === 'number' ? destination : openSync(destination, 'a', 0o600)
  let waiting: string[] = []
  let size = 0
  let lost = 0
  let busy = false
  let failures = 0

  function pump(): void {
    const chunk = Buffer.from(waiting.join(''))
    waiting = []
    busy = true
    put(chunk)
  }

  function put(chunk: Buffer): void {
    write(fd, chunk, (error, written) => {
      if (error) {
        failures = error.code === 'EPIPE' ? PATIENCE + 1 : failures + 1
        // A full pipe (EAGAIN), a full disk, a reader that is gone: what was not written stays first in line.
        const again = setTimeout(() => put(chunk), RETRY_MS)
        if (failures > PATIENCE) again.unref()
        return
      }
      failures = 0
      size -= written
      if (written < chunk.length) return put(chunk.subarray(written))
      busy = false
      if (waiting.length > 0) return pump()
      if (lost > 0) {
        const lines = lost
        lost = 0
        dropped(lines)
      }
    })
  }

  return {
    write(line) {
      const bytes = Buffer.byteLength(line)
      if (size + bytes > MOST_WAITING) {
        lost += 1
        return
      }
      size += bytes
      waiting.push(line)
      if (!busy) pump()
    },
  }
}
