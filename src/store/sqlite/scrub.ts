/**
 * Overwrites what deleted rows have left in the files of an embedded database. Must not know any table.
 *
 * With `secure_delete`, SQLite overwrites deleted rows with zeros. But when it moves rows to another page, it leaves the old copies in
 * unused parts of pages, and the write-ahead log has the pages as they were. `VACUUM` writes every page again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type Database from 'better-sqlite3'
import { isBusy } from './file.ts'

/** `VACUUM` blocks this process, and the writes of others, for about half a second at this size. */
const MAX_BYTES = 64 * 1024 * 1024
const ATTEMPTS = 40
const RETRY_MS = 25

/** Returns false if it did not: the file is larger than `maxBytes`, or other processes used it in every attempt. */
export async function scrubFile(db: Database.Database, maxBytes = MAX_BYTES): Promise<boolean> {
  const pages = db.pragma('page_count', { simple: true }) as number
  const pageSize = db.pragma('page_size', { simple: true }) as number
  return (
    pages * pageSize <= maxBytes &&
    (await retry(() => {
      db.exec('VACUUM')
      return true
    })) &&
    // Empties the write-ahead log, unless another process still reads from it.
    (await retry(() => (db.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }])[0].busy === 0))
  )
}

async function retry(work: () => boolean): Promise<boolean> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    try {
      if (work()) return true
    } catch (error) {
      if (!isBusy(error)) throw error
    }
    await sleep(RETRY_MS)
  }
  return false
}
