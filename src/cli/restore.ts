import { copyFileSync, existsSync, linkSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { noAnchorKeeper } from '../audit/anchor.ts'
import { createAuditTrail } from '../audit/index.ts'
import { commandLine } from '../command-line.ts'
import type { Config } from '../config/load.ts'
import { sameFile, writeAtomically } from '../durable-file.ts'
import { auditKeys } from '../keys/audit-keys.ts'
import { decryptDataKey } from '../keys/data-keys.ts'
import { DecryptionError, keyIdOf } from '../keys/encryption.ts'
import { masterKeyFile, readMasterKey } from '../keys/master-key.ts'
import { createMasterKeys, masterKeyId } from '../keys/master-keys.ts'
import { createStoreRecord, type RecordedStore, type StoreRecord } from '../node/store-record.ts'
import { type Reader, StoreUnusable } from '../store/db.ts'
import {
  assertIntegrity,
  createStore,
  openDb,
  openFileExclusive,
  type Store,
  sideFiles,
} from '../store/index.ts'
import { isEmpty, migrationStatus } from '../store/migrate.ts'
import { type Summary, summarize } from '../store/summary.ts'
import { systemClock, systemRandom } from '../system.ts'
import { embeddedFile, type FileOptions, summaryText } from './backup.ts'
import { action, CommandError, type CommandFactory, type Context, examples, fileName } from './context.ts'

export const restoreCommand: CommandFactory = (context) =>
  examples(
    action('restore', 'replace the database with a backup; the server must be stopped')
      .argument('<file>', 'file written by backup', fileName)
      .option('--force', 'replace an existing database, which is renamed and not deleted')
      .action((file: string, options: FileOptions) => restore(context, file, options)),
    'restore /backups/keyturn-monday.db',
    'restore /backups/keyturn-monday.db --force',
  )

async function restore(context: Context, backup: string, options: FileOptions): Promise<void> {
  const target = embeddedFile(context, 'pg_restore')
  const config = context.config()
  if (!existsSync(backup)) throw new CommandError(`there is no file ${backup}`)
  if (sameFile(backup, target)) throw new CommandError(`${backup} is the database itself`)
  const exists = existsSync(target)
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 })

  // Taken before anything else is refused, because a running server must be stopped in any case. The lock is held until the
  // restored database has this name, so that no server can start on the old one.
  const lock = exists ? lockDatabase(target) : null
  try {
    if (exists && !options.force)
      throw new CommandError(
        `there is already a database at ${target}; --force renames it and restores the backup`,
      )
    let aside: string | null = null
    const record = createStoreRecord(config)
    const { recorded, ...summary } = await writeAtomically(target, { replace: exists }, async (draft) => {
      copyFileSync(backup, draft)
      // If the database was copied with another tool, part of its data may be in the write-ahead log.
      if (existsSync(`${backup}-wal`)) copyFileSync(`${backup}-wal`, `${draft}-wal`)
      assertIntegrity(draft, backup)
      const summary = await prepareDraft(draft, backup, { context, config, record })
      if (exists) aside = moveAside(target)
      return summary
    })
    await updateRecord(context, record, recorded)
    const value = { database: target, ...summary, put_aside: aside }
    const lines = [`${target}: ${summaryText(summary)}`]
    if (aside !== null) lines.push(`The previous database is now ${aside}`)
    if (summary.pending > 0)
      lines.push(`The backup is from an older version: ${commandLine('serve')} will migrate it.`)
    context.print(options, value, lines.join('\n'))
  } finally {
    await lock?.close()
  }
}

/** Returns null if the database is so damaged that it cannot be opened; then no server can be using it either. */
function lockDatabase(target: string): Reader | null {
  try {
    return openFileExclusive(target)
  } catch (error) {
    if (error instanceof StoreUnusable) return null
    throw error
  }
}

/** Checks the copy of the backup completely, before the existing database is touched. */
async function prepareDraft(
  draft: string,
  backup: string,
  deps: { readonly context: Context; readonly config: Config; readonly record: StoreRecord },
): Promise<Summary & { pending: number; active: string | null; recorded: RecordedStore | null }> {
  const db = openDb(`sqlite:${draft}`)
  try {
    const steps = await migrationStatus(db)
    const pending = steps.filter(({ applied_at }) => applied_at === null).length
    if (isEmpty(steps)) throw new CommandError(`${backup} is not a backup of Keyturn`)
    const store = createStore(db)
    const active = await decryptAll(store, deps.config)
    await store.status.startNewLists()
    // A backup with an older schema is not recorded here: the first start after the restore then stores the anchor.
    const isComplete = active !== null && pending === 0
    const recorded = isComplete ? await recordRestore(store, backup, deps) : null
    return { ...(await summarize(db)), pending, active, recorded }
  } finally {
    await db.close()
  }
}

/**
 * The audit log goes back to the time of the backup, and this command is how an administrator says so: the event names the row
 * that the log had reached, and the log counts as accepted. A log that is not intact in the backup does not become intact.
 */
async function recordRestore(
  store: Store,
  backup: string,
  { context, config, record }: Parameters<typeof prepareDraft>[2],
): Promise<RecordedStore | null> {
  const name = await store.identity.read()
  // The record may be about another store that was here, whose log says nothing about this one.
  const before = readOrNull(record)
  const isSame = before?.store === name
  const { audit, auditLog } = createAuditTrail({
    store,
    clock: context.io.clock ?? systemClock,
    random: systemRandom,
    logger: context.system(config).logger,
    keys: auditKeys(config, store),
    anchor: noAnchorKeeper,
    stored: config.auditRetention !== null,
    maxWaiting: Number.POSITIVE_INFINITY,
    observe: (trail) => trail,
  })
  const reached =
    before && isSame ? { reason: `the audit log had reached ${before.audit.seq}:${before.audit.hash}` } : {}
  audit('store.restored', { actor: context.actor, target: basename(backup), ...reached })
  await auditLog.flush('all')
  const { head } = await store.auditRows.state()
  if (name === null || !head) return null
  const { seq, hash, acceptedAt } = head
  return { store: name, audit: { seq, hash, acceptedAt } }
}

/** null also if the record is damaged: that must not prevent a restore. */
function readOrNull(record: StoreRecord): RecordedStore | null {
  try {
    return record.recorded()
  } catch {
    return null
  }
}

async function updateRecord(
  context: Context,
  record: StoreRecord,
  recorded: RecordedStore | null,
): Promise<void> {
  if (record.file === null) return
  try {
    if (recorded) await record.write(recorded)
    // The record describes the previous store.
    else rmSync(record.file, { force: true })
  } catch (error) {
    context.note(
      `${record.file} still names the store that was there before (${(error as NodeJS.ErrnoException).code}): delete it before the next start`,
    )
  }
}

/**
 * @returns the kid of the active key
 * @throws {CommandError} if the backup is encrypted under a master key that is not available
 */
async function decryptAll({ ring, dataKeys }: Store, config: Config): Promise<string | null> {
  const keys = (await ring.read())?.keys ?? []
  const privateKeys = keys.flatMap(({ kid, encryptedPrivateKey: text }) =>
    text === null ? [] : [{ kid, text }],
  )
  if (privateKeys.length === 0) return null
  const masterKeys = createMasterKeys(config, systemRandom)
  if (masterKeys.list().length === 0)
    throw new CommandError(
      `${masterKeyFile(config.keysDir)} is missing, and only it decrypts the keys in the backup`,
    )
  try {
    for (const { kid, text } of privateKeys) masterKeys.privateKeys.decrypt(kid, text)
    for (const dataKey of await dataKeys.list()) decryptDataKey(masterKeys, dataKey)
  } catch (error) {
    if (!(error instanceof DecryptionError)) throw error
    throw new CommandError(
      `${error.message}; a backup needs the master key that was in use when it was created${hintAtOldKey(config, privateKeys)}`,
    )
  }
  return keys.find(({ state }) => state === 'active')?.kid ?? null
}

/** The master key that the last rotation replaced may be the one that the backup needs. */
function hintAtOldKey(config: Config, privateKeys: readonly { readonly text: string }[]): string {
  const old = readMasterKey(config.keysDir, 'old')
  if (old === null || !privateKeys.every(({ text }) => keyIdOf(text) === masterKeyId(old))) return ''
  const file = masterKeyFile(config.keysDir, 'old')
  return `, and ${file} is that key: run the command with KEYTURN_MASTER_KEY_NEXT_FILE=${file}, and continue as docs/master-key.md says under "Backups"`
}

/**
 * Gives the old database a second name. The restored database then takes over the first name, so there is a database under that
 * name at every moment, and a server that starts meanwhile does not create an empty one. Side files of SQLite are renamed too, or
 * SQLite would apply them to the restored database.
 */
function moveAside(target: string): string {
  const stamp = new Date(statSync(target).mtimeMs).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  let aside = `${target}.${stamp}`
  for (let i = 1; existsSync(aside); i += 1) aside = `${target}.${stamp}.${i}`
  for (const file of sideFiles(target)) renameSync(file, aside + file.slice(target.length))
  linkSync(target, aside)
  return aside
}
