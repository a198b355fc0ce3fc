/**
 * What is recorded about a store outside its database, usually beside the master key: which store it is, and where its audit log
 * ends. With this record, a starting server notices that the database is missing, is a different one, or is an older copy. Must not
 * know what an audit event means.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { type AnchorRecord, isLater, type KeptAnchor } from '../audit/anchor.ts'
import type { Config } from '../config/load.ts'
import { replaceAtomically } from '../durable-file.ts'
import { databaseFile, isPostgres } from '../store/database-url.ts'
import { StoreUnusable } from '../store/db.ts'
import { readText, whyUnreadable } from '../text.ts'

export interface RecordedStore {
  /** The name of the store, as its database has it. */
  readonly store: string
  readonly audit: KeptAnchor
}

export interface StoreRecord extends AnchorRecord {
  /** null if the settings say that nothing is recorded, or if the store is in memory. */
  readonly file: string | null
  /** What is recorded; null if nothing is. @throws {StoreUnusable} if the file cannot be read or is damaged */
  recorded(): RecordedStore | null
  /** Replaces what is recorded. Does nothing without a file. @throws the error of the file system */
  write(recorded: RecordedStore): Promise<void>
}

/** The anchor of a log that has no rows yet. */
export const NO_ANCHOR: KeptAnchor = { seq: 0, hash: '', acceptedAt: 0 }

export function createStoreRecord({
  storeRecordFile,
  databaseUrl,
}: Pick<Config, 'storeRecordFile' | 'databaseUrl'>): StoreRecord {
  const inMemory = !isPostgres(databaseUrl) && databaseFile(databaseUrl) === null
  const file = inMemory ? null : storeRecordFile
  const recorded = () => (file === null ? null : readRecord(file))

  async function write({ store, audit }: RecordedStore): Promise<void> {
    if (file === null) return
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    const { seq, hash, acceptedAt } = audit
    await replaceAtomically(
      file,
      `${JSON.stringify({ store, audit: { seq, hash, accepted_at: acceptedAt } })}\n`,
    )
  }

  return {
    file,
    recorded,
    write,
    read() {
      try {
        return recorded()?.audit ?? null
      } catch (error) {
        // A user without permission to read the file can still run commands, whose events must reach the audit log.
        if (isForbidden(error)) return null
        throw error
      }
    },
    async advance(anchor) {
      const before = recorded()
      // Only a starting server creates the record. Nodes may share a record, so another node may have stored a later anchor.
      if (before && isLater(anchor, before.audit)) await write({ ...before, audit: anchor })
    },
  }
}

/** Whether the record exists, but this user has no permission to read it. */
export const isForbidden = (error: unknown): boolean =>
  error instanceof StoreUnusable && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EACCES'

function readRecord(file: string): RecordedStore | null {
  let text: string
  try {
    text = readText(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new StoreUnusable(`the store record ${file} ${whyUnreadable(error)}`, error)
  }
  const parsed = parse(text)
  if (parsed) return parsed
  throw new StoreUnusable(
    `the store record ${file} is damaged: restore it from a backup, or delete it if the database is the right one`,
  )
}

function parse(text: string): RecordedStore | null {
  try {
    const { store, audit } = JSON.parse(text)
    const { seq, hash, accepted_at: acceptedAt } = audit
    const isValid =
      typeof store === 'string' &&
      Number.isSafeInteger(seq) &&
      Number.isSafeInteger(acceptedAt) &&
      typeof hash === 'string'
    return isValid ? { store, audit: { seq, hash, acceptedAt } } : null
  } catch {
    return null
  }
}
