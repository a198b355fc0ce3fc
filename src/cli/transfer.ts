import { existsSync } from 'node:fs'
import { assertVisible, IN_MEMORY, databaseUrl as parseUrl } from '../config/parsers.ts'
import { sameFile } from '../durable-file.ts'
import { databaseOptions } from '../node/base.ts'
import { databaseFile, databaseName, isPostgres } from '../store/database-url.ts'
import { StoreMissing } from '../store/db.ts'
import { openDb, openExclusive } from '../store/index.ts'
import { assertTransferable, type Progress, type TransferredTable, transfer } from '../store/transfer.ts'
import { systemClock } from '../system.ts'
import { action, type CommandFactory, type Context, examples, type Json, UsageError } from './context.ts'
import { count, table } from './output.ts'
import { withProgress } from './progress.ts'

interface TransferOptions extends Json {
  readonly to: string
}

export const transferCommand: CommandFactory = (context) =>
  examples(
    action('transfer', 'copy everything into another, empty database; all servers must be stopped')
      .requiredOption(
        '--to <url>',
        'target database, as in KEYTURN_DATABASE_URL: sqlite:<file> or postgres://…',
      )
      .action((options: TransferOptions) => runTransfer(context, options)),
    'transfer --to postgres://keyturn@db.example/keyturn',
    'transfer --to sqlite:data/keyturn.db',
  )

async function runTransfer(context: Context, options: TransferOptions): Promise<void> {
  const config = context.config()
  const to = parseTarget(options.to)
  const from = config.databaseUrl
  const [sourceFile, targetFile] = [databaseFile(from), databaseFile(to)]
  if (!isPostgres(from) && (sourceFile === null || !existsSync(sourceFile)))
    throw new StoreMissing(databaseName(from))
  if (from === to || (sourceFile !== null && targetFile !== null && sameFile(sourceFile, targetFile)))
    throw new UsageError('--to is the source database')

  const source = await openExclusive(from, databaseOptions(config))
  try {
    await assertTransferable(source, databaseName(from))
    const db = openDb(to, { ...databaseOptions(config), create: true })
    try {
      let latest: Progress | undefined
      const work = transfer({
        source,
        target: db,
        clock: context.io.clock ?? systemClock,
        progress: (progress) => {
          latest = progress
        },
      })
      const tables = await withProgress(context.io, () => bar(latest), work)
      report(context, options, to, tables)
    } finally {
      await db.close()
    }
  } finally {
    await source.close()
  }
}

function parseTarget(text: string): string {
  try {
    assertVisible(text)
    const url = parseUrl(text)
    if (url === IN_MEMORY) throw new Error('must be a file')
    return url
  } catch (error) {
    throw new UsageError(`--to ${(error as Error).message}`)
  }
}

const WIDTH = 24

function bar(progress: Progress | undefined): string {
  if (!progress) return 'checking both databases …'
  const { phase, table, done, total } = progress
  const part = total === 0 ? 1 : done / total
  const full = Math.round(part * WIDTH)
  const blocks = '█'.repeat(full) + '░'.repeat(WIDTH - full)
  return `${phase} ${blocks} ${String(Math.floor(part * 100)).padStart(3)} %  ${done} of ${total} rows, ${table}`
}

function report(
  context: Context,
  options: TransferOptions,
  to: string,
  tables: readonly TransferredTable[],
): void {
  const rows = tables.reduce((sum, copied) => sum + copied.rows, 0)
  const grid = table(
    ['TABLE', 'ROWS', 'CHECKSUM (EQUAL ON BOTH SIDES)'],
    tables.map((copied) => [copied.table, copied.rows, copied.checksum]),
  )
  const text = [
    grid,
    `${count(rows, 'row')} copied to ${targetName(to)}.`,
    'Set KEYTURN_DATABASE_URL to it, keep the master key, and do not start a server on the old database again.',
  ]
  context.print(options, { to: targetName(to), rows, tables }, text.join('\n'))
}

/** The target as it was given, without a password. */
const targetName = (to: string): string => (isPostgres(to) ? databaseName(to) : to)
