import { existsSync } from 'node:fs'
import { databaseUrl as parseUrl } from '../config/parsers.ts'
import { sameFile } from '../durable-file.ts'
import { databaseOptions } from '../node/base.ts'
import { databaseFile, isPostgres, openDb, openExclusive } from '../store/index.ts'
import { assertTransferable, type Progress, type TransferredTable, transfer } from '../store/transfer.ts'
import { systemClock } from '../system.ts'
import {
  action,
  CommandError,
  type CommandFactory,
  type Context,
  examples,
  type Json,
  UsageError,
} from './context.ts'
import { count, table } from './output.ts'
import { withProgress } from './progress.ts'

interface TransferOptions extends Json {
  readonly to: string
}

export const transferCommand: CommandFactory = (context) =>
  examples(
    action('transfer', 'copy everything into another database that is empty; servers must be stopped')
      .requiredOption('--to <url>', 'sqlite:<file> or postgres://…, as KEYTURN_DATABASE_URL')
      .action((options: TransferOptions) => run(context, options)),
    'transfer --to postgres://keyturn@db.example/keyturn',
    'transfer --to sqlite:data/keyturn.db',
  )

async function run(context: Context, options: TransferOptions): Promise<void> {
  const config = context.config()
  const to = target(options.to)
  const from = config.databaseUrl
  const [file, other] = [databaseFile(from), databaseFile(to)]
  if (!isPostgres(from) && (file === null || !existsSync(file)))
    throw new CommandError('there is no database to transfer')
  if (from === to || (file !== null && other !== null && sameFile(file, other)))
    throw new UsageError('--to is the database that it comes from')

  const source = await openExclusive(from, databaseOptions(config))
  try {
    await assertTransferable(source)
    const db = openDb(to, databaseOptions(config))
    try {
      let now: Progress | undefined
      const work = transfer({
        source,
        target: db,
        clock: context.io.clock ?? systemClock,
        progress: (progress) => {
          now = progress
        },
      })
      const tables = await withProgress(context.io, () => bar(now), work)
      report(context, options, to, tables)
    } finally {
      await db.close()
    }
  } finally {
    await source.close()
  }
}

function target(text: string): string {
  try {
    const url = parseUrl(text)
    if (!isPostgres(url) && databaseFile(url) === null) throw new Error('must be a file')
    return url
  } catch (error) {
    throw new UsageError(`--to ${(error as Error).message}`)
  }
}

const WIDTH = 24

function bar(progress: Progress | undefined): string {
  if (!progress) return 'looking at both databases …'
  const { phase, table, done, total } = progress
  const part = total === 0 ? 1 : done / total
  const full = Math.round(part * WIDTH)
  const drawn = '█'.repeat(full) + '░'.repeat(WIDTH - full)
  return `${phase} ${drawn} ${String(Math.floor(part * 100)).padStart(3)} %  ${done} of ${total} rows, ${table}`
}

function report(
  context: Context,
  options: TransferOptions,
  to: string,
  tables: readonly TransferredTable[],
): void {
  const rows = tables.reduce((sum, one) => sum + one.rows, 0)
  const grid = table(
    ['TABLE', 'ROWS', 'CHECKSUM, THE SAME ON BOTH SIDES'],
    tables.map((one) => [one.table, one.rows, one.checksum]),
  )
  const text = [
    grid,
    `${count(rows, 'row')}, now in ${withoutPassword(to)}.`,
    'Set KEYTURN_DATABASE_URL to it, with the same master key, and start no server on the old one again.',
  ]
  context.print(options, { to: withoutPassword(to), rows, tables }, text.join('\n'))
}

function withoutPassword(to: string): string {
  if (!isPostgres(to)) return to
  const url = new URL(to)
  url.password = ''
  // A password may stand behind the question mark too.
  return `${url.protocol}//${url.username ? `${url.username}@` : ''}${url.host}${url.pathname}`
}
