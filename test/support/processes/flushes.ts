/** Reads from a trace of system calls whether anything was answered before it was on the disk. */

export const TRACED_CALLS = 'trace=pwrite64,fsync,fdatasync,write,writev'

export interface Flushes {
  /** Answers with status 200. */
  readonly answers: number
  /** Those among them that were sent while the database's log had bytes that were not flushed. */
  readonly early: number
}

/** The database is written and the answers are sent by the main thread alone, so its lines are in order. */
export function readTrace(trace: string): Flushes {
  const lines = trace.split('\n')
  const main = lines[0]?.split(' ', 1)[0] ?? ''
  let dirty = false
  let flushing = false
  let answers = 0
  let early = 0
  for (const line of lines) {
    if (!line.startsWith(`${main} `)) continue
    if (/ pwrite64\(\d+<[^>]*-wal>/.test(line)) dirty = true
    const flush = / (?:fsync|fdatasync)\(\d+<[^>]*-wal>(.*)/.exec(line)
    if (flush) flushing = true
    if (flushing && /(?:fsync|fdatasync)(?:\(| resumed).*\) += 0$/.test(line)) {
      dirty = false
      flushing = false
    }
    if (/ writev?\(.*"HTTP\/1\.1 200 /.test(line)) {
      answers += 1
      if (dirty) early += 1
    }
  }
  return { answers, early }
}
