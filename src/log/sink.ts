/**
 * Writes log lines. Never blocks the event loop, never throws, and never keeps the process from exiting. Pino's own destination
 * crashes the process when the disk is full, and at exit it waits forever for a reader that is gone. Must not know what a line
 * contains.
 */
import { openSync, write } from 'node:fs'

export interface Sink {
  write(line: string): void
}

/** Bytes of lines that wait for a slow reader or for disk space. Later lines are dropped. */
export const MAX_WAITING_BYTES = 4_194_304
const RETRY_MS = 20
/** After this many failed attempts, waiting lines no longer delay the exit of the process. */
const MAX_RETRIES = 25

/**
 * @param destination a file descriptor or a path
 * @param dropped called with the number of lost lines once lines can be written again
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
        failures = error.code === 'EPIPE' ? MAX_RETRIES + 1 : failures + 1
        // A full pipe (EAGAIN), a full disk, or a reader that is gone. The lines that were not written are tried again first.
        const retry = setTimeout(() => put(chunk), RETRY_MS)
        if (failures > MAX_RETRIES) retry.unref()
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
      if (size + bytes > MAX_WAITING_BYTES) {
        lost += 1
        return
      }
      size += bytes
      waiting.push(line)
      if (!busy) pump()
    },
  }
}
