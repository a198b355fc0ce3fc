import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { sameFile, writeAtomically } from '../durable-file.ts'
import { databaseFile, databaseName } from '../store/database-url.ts'
import { StoreMissing } from '../store/db.ts'
import { assertIntegrity, copyDatabase, openCopy, sideFiles } from '../store/index.ts'
import { type Summary, summarize } from '../store/summary.ts'
import {
  action,
  CommandError,
  type CommandFactory,
  type Context,
  examples,
  fileName,
  type Json,
} from './context.ts'
import { count } from './output.ts'

export interface FileOptions extends Json {
  readonly force?: boolean
}

export const backupCommand: CommandFactory = (context) =>
  examples(
    action('backup', 'copy the database to a file, while the server is running; keys stay encrypted')
      .argument('<file>', 'backup file, which only its owner will be able to read', fileName)
      .option('--force', 'overwrite an existing file')
      .action((file: string, options: FileOptions) => backup(context, file, options)),
    'backup /backups/keyturn-monday.db',
  )

async function backup(context: Context, target: string, options: FileOptions): Promise<void> {
  const source = embeddedFile(context, 'pg_dump --format=custom')
  if (!existsSync(source)) throw new StoreMissing(databaseName(context.config().databaseUrl))
  if (!existsSync(dirname(target))) {
    // The folder is not created, because it may be the mount point of a disk that is not mounted.
    throw new CommandError(`there is no folder ${dirname(target)}`)
  }
  if ([source, ...sideFiles(source)].some((file) => sameFile(file, target))) {
    throw new CommandError(`${target} is the database itself`)
  }
  if (context.io.errIsTerminal) context.io.progress('copying …')
  const summary = await writeAtomically(target, { replace: options.force === true }, async (draft) => {
    copyDatabase(source, draft)
    assertIntegrity(draft, 'the copy')
    return summaryOf(draft)
  }).catch((error) => {
    throw error.code === 'EEXIST'
      ? new CommandError(`${target} already exists; --force overwrites it`)
      : error
  })
  const { size } = statSync(target)
  context.print(
    options,
    { file: target, bytes: size, ...summary },
    `${target}: ${summaryText(summary)}, ${size} bytes\nThe backup needs the master key: keep a copy of it in another place.`,
  )
}

/**
 * Returns the file of the embedded database.
 * @throws {CommandError} for PostgreSQL, which has its own tools
 */
export function embeddedFile(context: Context, tool: string): string {
  const { databaseUrl } = context.config()
  const file = databaseFile(databaseUrl)
  if (file !== null) return file
  throw new CommandError(`this command works only with a SQLite file; with PostgreSQL, use ${tool}`)
}

export const summaryText = ({ schema, clients, users, sessions, keys }: Summary): string =>
  `schema ${schema}, ${count(clients, 'client')}, ${count(users, 'user')}, ${count(sessions, 'session')}, ${count(keys, 'key')}`

async function summaryOf(file: string): Promise<Summary> {
  const copy = openCopy(file)
  try {
    return await summarize(copy)
  } finally {
    await copy.close()
  }
}
