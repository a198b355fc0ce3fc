import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { sameFile, writeWhole } from '../durable-file.ts'
import {
  assertIntegrity,
  copyDatabase,
  databaseFile,
  isPostgres,
  openCopy,
  sideFiles,
} from '../store/index.ts'
import { type Summary, summarize } from '../store/summary.ts'
import { action, CommandError, type CommandFactory, type Context, examples, type Json } from './context.ts'
import { count } from './output.ts'

export interface FileOptions extends Json {
  readonly force?: boolean
}

export const backupCommand: CommandFactory = (context) =>
  examples(
    action('backup', 'copy the database to a file, while a server uses it; keys stay encrypted')
      .argument('<file>', 'made, readable by its owner alone')
      .option('--force', 'even if the file is there already')
      .action((file: string, options: FileOptions) => backup(context, file, options)),
    'backup /backups/keyturn-monday.db',
  )

async function backup(context: Context, target: string, options: FileOptions): Promise<void> {
  const source = embedded(context, 'pg_dump --format=custom')
  if (!existsSync(source)) throw new CommandError(`there is no database ${source} yet`)
  if (!existsSync(dirname(target))) {
    // Not made: a disk that is not mounted would be a folder on this one.
    throw new CommandError(`there is no folder ${dirname(target)}`)
  }
  if ([source, ...sideFiles(source)].some((file) => sameFile(file, target))) {
    throw new CommandError(`${target} is the database itself`)
  }
  if (context.io.errIsTerminal) context.io.err('copying …')
  const summary = await writeWhole(target, { replace: options.force === true }, async (draft) => {
    copyDatabase(source, draft)
    assertIntegrity(draft, 'the copy')
    return summaryOf(draft)
  }).catch((error) => {
    throw error.code === 'EEXIST'
      ? new CommandError(`${target} is there already; --force replaces it`)
      : error
  })
  if (context.io.errIsTerminal) context.io.err('\r\u001B[K')
  const { size } = statSync(target)
  context.print(
    options,
    { file: target, bytes: size, ...summary },
    `${target}: ${inWords(summary)}, ${size} bytes\nIt opens with the master key alone: keep that elsewhere.`,
  )
}

/** The file of the embedded database; the engine on a server has tools of its own. */
export function embedded(context: Context, tool: string): string {
  const { databaseUrl } = context.config()
  const file = databaseFile(databaseUrl)
  if (file !== null) return file
  const why = isPostgres(databaseUrl) ? `PostgreSQL has its own: use ${tool}` : 'the database is in memory'
  throw new CommandError(`only a database in a file is copied by this command; ${why}`)
}

export const inWords = ({ schema, clients, users, sessions, keys }: Summary): string =>
  `schema ${schema}, ${count(clients, 'client')}, ${count(users, 'user')}, ${count(sessions, 'session')}, ${count(keys, 'key')}`

async function summaryOf(file: string): Promise<Summary> {
  const copy = openCopy(file)
  try {
    return await summarize(copy)
  } finally {
    await copy.close()
  }
}
