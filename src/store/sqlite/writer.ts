/**
 * What writes to the embedded database. At first this thread does, on the connection that also reads. On a disk that flushes slowly a
 * server starts a thread that writes instead, so that the event loop does not wait for the disk. On a fast disk the thread would only cost
 * memory and messages. Must not know any table, or when batches are committed.
 */
import type Database from 'better-sqlite3'
import type { Step } from '../db.ts'
import { createCommitGroup, type Outcome } from './commit-group.ts'
import { scrubFile } from './scrub.ts'

export interface Writer {
  /**
   * Commits the batches in one transaction and flushes it to disk.
   * @throws an error that fails all of them; nothing has changed, unless the thread ended during the commit
   */
  commit(group: readonly (readonly Step[])[]): Promise<Outcome[]>
  scrub(): Promise<boolean>
  /** Called when no commit is running. */
  close(): Promise<void>
}

/** A {@link Writer} on a thread of its own. */
export interface WriterThread extends Writer {
  /** Rejects if the thread could not open the database. */
  readonly opened: Promise<void>
  /** Resolves with the cause when the thread has ended. */
  readonly ended: Promise<unknown>
}

/** The thread starts when commits take this long on average. A disk without a network in between needs a fraction of it. */
export const SLOW_COMMIT_MS = 2
/** The weight of one commit in the average: one that is slow because the processors are busy does not start the thread. */
const WEIGHT = 1 / 16
/** A thread that ended is started once more. After that this thread writes, however slow the disk is. */
const MAX_STARTS = 2

export interface AdaptiveWriterOptions {
  readonly here: Writer
  startThread(): WriterThread
  /** The thread has ended by itself. What it had not answered fails as an outage of the store. */
  readonly onEnd: (error: unknown) => void
  /** Milliseconds that only go up. */
  readonly now?: () => number
}

export function createAdaptiveWriter({
  here,
  startThread,
  onEnd,
  now = () => performance.now(),
}: AdaptiveWriterOptions): Writer {
  let thread: WriterThread | undefined
  let writer = here
  let starts = 0
  let averageMs = 0

  function moveToThread(): void {
    starts += 1
    const started = startThread()
    thread = started
    // Until the thread has opened the database, this one goes on writing.
    started.opened.then(
      () => {
        writer = started
      },
      () => {},
    )
    started.ended.then((error) => {
      if (thread !== started) return
      thread = undefined
      writer = here
      averageMs = 0
      onEnd(error)
    })
  }

  return {
    async commit(group) {
      if (writer !== here) return writer.commit(group)
      const from = now()
      try {
        return await here.commit(group)
      } finally {
        averageMs += (now() - from - averageMs) * WEIGHT
        if (averageMs > SLOW_COMMIT_MS && thread === undefined && starts < MAX_STARTS) moveToThread()
      }
    },

    scrub: () => writer.scrub(),

    async close() {
      const started = thread
      thread = undefined
      await started?.close()
      await here.close()
    },
  }
}

export function writeHere(db: Database.Database, assertSameFiles: () => void, flushDelay = 0): Writer {
  const commitGroup = createCommitGroup(db, assertSameFiles, flushDelay)
  return {
    commit: async (group) => commitGroup(group),
    async scrub() {
      assertSameFiles()
      return scrubFile(db)
    },
    // The connection is the reader's, too.
    close: async () => {},
  }
}
