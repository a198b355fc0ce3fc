/**
 * Checks that a database is the store that belongs to the master key. A missing, empty or different database is an error unless an
 * administrator confirms it, because the usual cause is a disk that is not mounted, or a wrong folder. Must not know what the store
 * contains besides its name.
 */
import { existsSync } from 'node:fs'
import { commandLine } from '../command-line.ts'
import type { Config } from '../config/load.ts'
import { removeDrafts } from '../durable-file.ts'
import { readMasterKey } from '../keys/master-key.ts'
import { databaseFile, databaseName, isPostgres } from '../store/database-url.ts'
import { StoreMissing, StoreUnusable } from '../store/db.ts'
import type { Store } from '../store/index.ts'
import type { MigrationMode } from '../store/migrate.ts'
import { findRemains, listed } from '../store/remains.ts'
import type { Logger } from '../system.ts'
import { NO_ANCHOR, type StoreRecord } from './store-record.ts'

const NEW_STORE_HINT = `run ${commandLine('serve --new')} to create an empty one`

const NEW_RING_HINT = `run ${commandLine('serve --new')} to create a new key ring for what is left`

/** Why a store is believed to exist already, for an error message; null if nothing indicates it. */
function evidence(config: Config, record: StoreRecord): string | null {
  // The file of the master key is created after the database and before the record.
  const hasKeyFile = config.masterKey === null && readMasterKey(config.keysDir) !== null
  if (record.recorded()) return `${record.file} names the store that should be there`
  // A master key in the settings proves nothing: it is there before the first start.
  return hasKeyFile ? `there is a master key in ${config.keysDir}, so there was a store before` : null
}

/**
 * How a starting server may open the store. It may create one only if nothing indicates that there was one before.
 * @throws {InvalidMasterKey} | {StoreUnusable} if the master key or the record cannot be read
 */
export function migrationModeFor(config: Config, record: StoreRecord, isNew: boolean): MigrationMode {
  const inMemory = !isPostgres(config.databaseUrl) && databaseFile(config.databaseUrl) === null
  return isNew || inMemory || evidence(config, record) === null ? 'create' : 'apply'
}

/**
 * Whether the start of a server will probably create the store. Checked without opening it, so it decides only what can be prepared
 * early.
 */
export function isFirstStart(config: Config, record: StoreRecord, isNew: boolean): boolean {
  if (isPostgres(config.databaseUrl)) return false
  const file = databaseFile(config.databaseUrl)
  if (file === null) return true
  return !existsSync(file) && (isNew || readableEvidence(config, record) === null)
}

/** Adds the evidence, and what an administrator can do, to the message of a `StoreMissing`. */
export function explainMissing(error: unknown, config: Config, record: StoreRecord): unknown {
  if (!(error instanceof StoreMissing)) return error
  const why = readableEvidence(config, record)
  if (why === null) return error
  return new StoreMissing(
    databaseName(config.databaseUrl),
    `${why}; mount or restore it, or set KEYTURN_DATABASE_URL; if it is meant to be gone, ${NEW_STORE_HINT}`,
  )
}

/** Like `evidence`, but null if the user who runs a command has no permission to read the keys folder. */
export function readableEvidence(config: Config, record: StoreRecord): string | null {
  try {
    return evidence(config, record)
  } catch {
    return null
  }
}

/** @throws {StoreUnusable} if the record names another store */
export function assertRecorded(name: string | null, config: Config, record: StoreRecord): void {
  const recorded = record.recorded()
  if (!recorded || recorded.store === name) return
  const which = name === null ? 'an unfinished store' : `store ${name}`
  throw new StoreUnusable(
    `the database at ${databaseName(config.databaseUrl)} is ${which}, and ${record.file} names store ${recorded.store}: set KEYTURN_DATABASE_URL to that one or restore it; if the database is the right one, run ${commandLine('serve --new')} to accept it`,
  )
}

/**
 * Must be called before the ring is created.
 * @throws {StoreUnusable} if the store had a ring according to the record or to the rows that remain, or if --new was given and
 *   the store is not new
 */
export async function assertRing(
  store: Pick<Store, 'db' | 'ring' | 'identity'>,
  config: Config,
  record: StoreRecord,
  isNew: boolean,
): Promise<void> {
  const place = databaseName(config.databaseUrl)
  const remains = await findRemains(store)
  const exists = (await store.ring.read()) !== null
  const recorded = record.recorded()
  const isOurs = !recorded || recorded.store === (await store.identity.read())
  // A new ring has no place beside parts of the old one, so it is not offered either.
  const isPartial = remains.includes('ring') || remains.includes('ring_keys')
  if (!exists && recorded && !isNew && !isPartial) {
    throw new StoreUnusable(
      `the database at ${place} has lost the key ring that it had according to ${record.file}: restore a backup, or ${NEW_RING_HINT}`,
    )
  }
  if (remains.length > 0) {
    const wayOut = `restore a backup${isPartial ? '' : `, or ${NEW_RING_HINT}`}`
    if (isPartial || !isNew) {
      throw new StoreUnusable(
        `the database at ${place} has no key ring, but rows in ${listed(remains)}: it is damaged; ${wayOut}`,
      )
    }
  }
  if (exists && isOurs && isNew) {
    throw new StoreUnusable(`the database at ${place} is not new: start without --new`)
  }
}

/** Records the store, once it has a ring. A store that cannot be recorded is still served. */
export async function recordStore(
  { identity }: Pick<Store, 'identity'>,
  record: StoreRecord,
  logger: Logger,
): Promise<void> {
  // This may delete a draft of another node that shares the folder. That node stores its anchor again a second later.
  if (record.file !== null) await removeDrafts(record.file).catch(() => {})
  const store = await identity.read()
  const before = record.recorded()
  if (store === null || before?.store === store) return
  if (before) logger.warn({ before: before.store, now: store }, 'another store was recorded before')
  try {
    await record.write({ store, audit: NO_ANCHOR })
  } catch (error) {
    logger.warn(
      { err: error, file: record.file },
      'the store cannot be recorded, so a missing database would not be noticed: set KEYTURN_STORE_RECORD_FILE',
    )
  }
}
