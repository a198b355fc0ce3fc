import { copyFileSync, existsSync, linkSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Config } from '../config/load.ts'
import { sameFile, writeWhole } from '../durable-file.ts'
import { decryptDataKey } from '../keys/data-keys.ts'
import { DecryptionError } from '../keys/encryption.ts'
import { masterKeyFile } from '../keys/master-key.ts'
import { createMasterKeys } from '../keys/master-keys.ts'
import { type Reader, StoreUnusable } from '../store/db.ts'
import {
  assertIntegrity,
  createStore,
  openDb,
  openFileExclusive,
  type Store,
  sideFiles,
} from '../store/index.ts'
import { migrationStatus } from '../store/migrate.ts'
import { type Summary, summarize } from '../store/summary.ts'
import { systemRandom } from '../system.ts'
import { embedded, type FileOptions, inWords } from './backup.ts'
import { action, CommandError, type CommandFactory, type Context, examples } from './context.ts'

export const restoreCommand: CommandFactory = (context) =>
  examples(
    action('restore', 'put a backup in the place of the database; the server must be stopped')
      .argument('<file>', 'as backup wrote it')
      .option('--force', 'even if there is a database: it is put aside, not deleted')
      .action((file: string, options: FileOptions) => restore(context, file, options)),
    'restore /backups/keyturn-monday.db',
    'restore /backups/keyturn-monday.db --force',
  )

async function restore(context: Context, backup: string, options: FileOptions): Promise<void> {
  const target = embedded(context, 'pg_restore')
  const config = context.config()
  if (!existsSync(backup)) throw new CommandError(`there is no file ${backup}`)
  if (sameFile(backup, target)) throw new CommandError(`${backup} is the database itself`)
  const occupied = existsSync(target)
  if (occupied && !options.force)
    throw new CommandError(`there is a database at ${target} already; --force puts it aside`)
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 })

  // Held until the restored one has its name, so that no server can start on the one that goes.
  const held = occupied ? hold(target) : null
  try {
    let aside: string | null = null
    const found = await writeWhole(target, { replace: occupied }, async (draft) => {
      copyFileSync(backup, draft)
      // Of a database that was copied as a file, part may be in there.
      if (existsSync(`${backup}-wal`)) copyFileSync(`${backup}-wal`, `${draft}-wal`)
      assertIntegrity(draft, backup)
      const found = await prepare(draft, backup, config)
      if (occupied) aside = putAside(target)
      return found
    })
    const value = { database: target, ...found, put_aside: aside }
    const lines = [`${target}: ${inWords(found)}`]
    if (aside !== null) lines.push(`What was there is now ${aside}`)
    if (found.pending > 0) lines.push('It is of an older version: keyturn serve brings it up to date.')
    context.print(options, value, lines.join('\n'))
  } finally {
    await held?.close()
  }
}

/** One that is damaged beyond asking is in no use that anybody would miss. */
function hold(target: string): Reader | null {
  try {
    return openFileExclusive(target)
  } catch (error) {
    if (error instanceof StoreUnusable) return null
    throw error
  }
}

/** All that can be found wrong with it is found before anything is changed. */
async function prepare(
  draft: string,
  backup: string,
  config: Config,
): Promise<Summary & { pending: number; active: string | null }> {
  const db = openDb(`sqlite:${draft}`)
  try {
    const steps = await migrationStatus(db)
    const pending = steps.filter(({ applied_at }) => applied_at === null).length
    if (pending === steps.length) throw new CommandError(`${backup} is no backup of Keyturn`)
    const store = createStore(db)
    const active = await decryptAll(store, config)
    await store.status.startNewLists()
    return { ...(await summarize(db)), pending, active }
  } finally {
    await db.close()
  }
}

/**
 * @returns the kid of the key that signs
 * @throws {CommandError} if the backup is encrypted under a master key that is not here
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
    throw new CommandError(`${error.message}; a backup needs the master key of the time when it was made`)
  }
  return keys.find(({ state }) => state === 'active')?.kid ?? null
}

/**
 * A second name for it, so that there is a database at every moment: with none, a start would make an empty one. What
 * SQLite left beside a damaged one goes along, or the restored one would take it for its own.
 */
function putAside(target: string): string {
  const stamp = new Date(statSync(target).mtimeMs).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  let aside = `${target}.${stamp}`
  for (let i = 1; existsSync(aside); i += 1) aside = `${target}.${stamp}.${i}`
  for (const file of sideFiles(target)) renameSync(file, aside + file.slice(target.length))
  linkSync(target, aside)
  return aside
}
