import type { Config } from '../config/load.ts'
import { databaseOptions } from '../node/base.ts'
import { databaseName } from '../store/database-url.ts'
import { StoreMissing } from '../store/db.ts'
import { openDb } from '../store/index.ts'
import { ensureSchema, isEmpty, type MigrationStatus, migrationStatus } from '../store/migrate.ts'
import { systemClock } from '../system.ts'
import { action, type CommandFactory, type Context, examples, type Json } from './context.ts'
import { table, time } from './output.ts'

export const migrateCommand: CommandFactory = (context) =>
  examples(
    action('migrate', 'apply pending migrations to the database; serve does this at start')
      .option('--status', 'only show which migrations are applied')
      .action((options: MigrateOptions) =>
        options.status ? status(context, options) : apply(context, options),
      ),
    'migrate --status',
    'migrate',
  )

interface MigrateOptions extends Json {
  readonly status?: boolean
}

async function apply(context: Context, options: Json): Promise<void> {
  const config = context.config()
  const db = openDb(config.databaseUrl, databaseOptions(config))
  try {
    const name = databaseName(config.databaseUrl)
    const applied = await ensureSchema(db, context.io.clock ?? systemClock, 'apply', name)
    const text = applied.length === 0 ? 'up to date' : applied.map((name) => `applied ${name}`).join('\n')
    context.print(options, { applied }, text)
  } finally {
    await db.close()
  }
}

async function status(context: Context, options: Json): Promise<void> {
  const steps = await readStatus(context.config())
  const rows = steps.map(({ name, applied_at, newer }) => [
    newer ? `${name} (from a newer version)` : name,
    applied_at === null ? 'pending' : time(applied_at),
  ])
  context.print(options, steps, table(['MIGRATION', 'APPLIED'], rows))
}

async function readStatus(config: Config): Promise<MigrationStatus[]> {
  const db = openDb(config.databaseUrl, databaseOptions(config))
  try {
    const steps = await migrationStatus(db)
    if (isEmpty(steps)) throw new StoreMissing(databaseName(config.databaseUrl))
    return steps
  } finally {
    await db.close()
  }
}
