import { existsSync } from 'node:fs'
import type { Config } from '../config/load.ts'
import { databaseOptions } from '../node/base.ts'
import { databaseFile, openDb } from '../store/index.ts'
import { type MigrationStatus, migrate, migrationStatus, readMigrations } from '../store/migrate.ts'
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
    const applied = await migrate(db, context.io.clock ?? systemClock)
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
  const file = databaseFile(config.databaseUrl)
  // Opening the file would create it.
  if (file !== null && !existsSync(file)) {
    return readMigrations().map(({ name }) => ({ name, applied_at: null }))
  }
  const db = openDb(config.databaseUrl, databaseOptions(config))
  try {
    return await migrationStatus(db)
  } finally {
    await db.close()
  }
}
