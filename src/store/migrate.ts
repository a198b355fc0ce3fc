/**
 * Brings the schema of a store up to date. Must not know any engine. A migration is a file in `migrations/`. It is applied in one
 * batch with the row that records it, so that a killed process leaves it either applied or not applied. The row is also the lock:
 * if two processes apply a migration at once, the second finds the row, and its whole batch is rolled back.
 *
 * The first line of a file declares which versions can use the store afterwards: `-- expand` means every version that could
 * before, `-- contract: 0.3.0` means that version and later ones. The declaration is stored in front of the checksum, so that a
 * program can read the declaration of a migration that it does not have (docs/upgrades.md).
 */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { commandLine } from '../command-line.ts'
import { packageFile } from '../package-files.ts'
import type { Clock } from '../system.ts'
import { version } from '../version.ts'
import { ConstraintViolation, type Db, type Reader, StoreMissing, StoreUnusable } from './db.ts'
import { assertNoOlderNodes, isOlder } from './older-nodes.ts'

const FOLDER = packageFile('migrations/')

/** Recorded among the migrations while a transfer fills the store. No migration has this name. */
export const TRANSFER_MARK = 'transfer_unfinished'

export interface Migration {
  readonly name: string
  /** Begins with the declaration, `expand:…` or `contract 0.3.0:…`, if the file has one. */
  readonly checksum: string
  readonly statements: readonly string[]
}

export interface MigrationStatus {
  readonly name: string
  readonly applied_at: number | null
  /** A newer program has applied the migration, and this program can still use the store. */
  readonly newer?: true
}

export function readMigrations(folder: URL = FOLDER): Migration[] {
  return readdirSync(folder)
    .filter((file) => /^\d{4}_[a-z0-9_]+\.sql$/.test(file))
    .sort()
    .map((file) => {
      // Git may check out the file with other line endings, which must not change the checksum.
      const sql = readFileSync(new URL(file, folder), 'utf8').replaceAll('\r\n', '\n')
      return {
        name: file.replace(/\.sql$/, ''),
        checksum: declared(sql) + createHash('sha256').update(sql).digest('base64url'),
        statements: split(sql),
      }
    })
}

function declared(sql: string): string {
  const [, kind, oldest] = /^-- (?:(expand)|contract: (\d+\.\d+\.\d+))\n/.exec(sql) ?? []
  if (oldest !== undefined) return `contract ${oldest}:`
  return kind === undefined ? '' : 'expand:'
}

/** The oldest version that can use the store after the migration; null if the migration does not declare it. */
function oldestFor({ checksum }: Pick<Migration, 'checksum'>): string | null {
  const [, kind, oldest] = /^(?:(expand)|contract (\d+\.\d+\.\d+)):/.exec(checksum) ?? []
  return kind === undefined ? (oldest ?? null) : '0.0.0'
}

/** A statement ends with `;` at the end of a line. A line that begins with `--` is a comment. */
function split(sql: string): string[] {
  return sql
    .split('\n')
    .filter((line) => !line.startsWith('--'))
    .join('\n')
    .split(/;\s*\n/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}

/**
 * Applies the missing migrations. Returns the names of those that this call applied.
 * @throws {StoreUnusable} if a newer program has changed the store so that this one cannot use it, if a migration was changed
 *   after it was applied, or if a running node could not use the store after a migration
 */
export async function migrate(
  db: Db,
  clock: Clock,
  migrations: readonly Migration[] = readMigrations(),
): Promise<string[]> {
  await prepare(db)
  const done: string[] = []
  for (const migration of await pending(db, migrations)) {
    await assertNoOlderNodes(db, clock, { name: migration.name, oldest: oldestFor(migration) ?? '0.0.0' })
    const mark = {
      sql: `INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ($1, $2, $3)
            ON CONFLICT (name) DO NOTHING`,
      params: [migration.name, migration.checksum, clock.now()],
      expectRows: 1,
    }
    const steps = migration.statements.map((sql) => ({ sql }))
    // A second process waits at the row until the first one has committed, without a timeout.
    if (await db.batch([mark, ...steps], { noTimeout: true })) done.push(migration.name)
  }
  return done
}

/** Every collision means that another process has made progress. */
const MAX_ATTEMPTS = 10

/** Creates the table of migrations. On PostgreSQL, two concurrent attempts collide in spite of `IF NOT EXISTS`. */
async function prepare(db: Db): Promise<void> {
  const create = {
    sql: `CREATE TABLE IF NOT EXISTS schema_migrations
            (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)`,
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      await db.batch([create])
      return
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !(error instanceof ConstraintViolation)) throw error
    }
  }
}

/**
 * `create` brings the schema up to date, also in an empty database. `apply` does so too, but refuses an empty database. `current`
 * also refuses a database that needs migrations.
 */
export type MigrationMode = 'create' | 'apply' | 'current'

/**
 * Returns what was applied.
 * @param name of the database, for messages
 * @throws {StoreMissing} if the database is empty, unless it may be created
 * @throws {StoreUnusable} like `migrate`, and with `current` if migrations are pending
 */
export async function ensureSchema(
  db: Db,
  clock: Clock,
  mode: MigrationMode,
  name: string,
  migrations: readonly Migration[] = readMigrations(),
): Promise<string[]> {
  const status = await migrationStatus(db, migrations)
  const missing = status.filter((step) => step.applied_at === null)
  if (missing.length === 0) return []
  if (mode !== 'create' && isEmpty(status)) throw new StoreMissing(name)
  if (mode === 'current') {
    throw new StoreUnusable(
      `the database needs ${missing.length} migration(s): run ${commandLine('migrate')}`,
    )
  }
  return migrate(db, clock, migrations)
}

/** Whether no migration was ever applied: the database contains nothing of Keyturn. */
export const isEmpty = (status: readonly MigrationStatus[]): boolean =>
  status.every(({ applied_at }) => applied_at === null)

/** @throws {StoreUnusable} like `migrate` */
export async function migrationStatus(
  db: Pick<Reader, 'query'>,
  migrations: readonly Migration[] = readMigrations(),
): Promise<MigrationStatus[]> {
  const applied = await readApplied(db)
  const newer = check(applied, migrations)
  return [
    ...migrations.map(({ name }) => ({ name, applied_at: applied.get(name)?.applied_at ?? null })),
    ...newer.map(({ name, applied_at }) => ({ name, applied_at, newer: true as const })),
  ]
}

interface Applied {
  readonly name: string
  readonly checksum: string
  readonly applied_at: number
}

async function pending(db: Db, migrations: readonly Migration[]): Promise<Migration[]> {
  const applied = await readApplied(db)
  check(applied, migrations)
  return migrations.filter(({ name }) => !applied.has(name))
}

async function readApplied(db: Pick<Reader, 'query'>): Promise<Map<string, Applied>> {
  try {
    const rows = await db.query<Applied>(
      'SELECT name, checksum, applied_at FROM schema_migrations ORDER BY name',
    )
    return new Map(rows.map((row) => [row.name, row]))
  } catch (error) {
    if (isMissingTable(error)) return new Map()
    throw error
  }
}

/** Recognized by the message of SQLite, or by the SQLSTATE, because the messages of PostgreSQL depend on its locale. */
const isMissingTable = (error: unknown): boolean =>
  /no such table/.test((error as Error).message) || (error as { code?: string }).code === '42P01'

/** Returns the migrations of a newer program after which this program can use the store. @throws {StoreUnusable} */
function check(applied: ReadonlyMap<string, Applied>, migrations: readonly Migration[]): Applied[] {
  const known = new Map(migrations.map((migration) => [migration.name, migration]))
  const newer: Applied[] = []
  for (const step of applied.values()) {
    const { name, checksum } = step
    const migration = known.get(name)
    if (name === TRANSFER_MARK) {
      throw new StoreUnusable('a transfer into this database did not finish: run it again')
    }
    if (!migration) {
      assertUsable(step)
      newer.push(step)
    } else if (migration.checksum !== checksum) {
      throw new StoreUnusable(`migration ${name} was changed after it had been applied`)
    }
  }
  const missing = migrations.find(({ name }) => !applied.has(name))
  if (newer.length > 0 && missing) {
    throw new StoreUnusable(
      `the database has ${newer[0]?.name}, which this program does not know, and lacks ${missing.name}: it belongs to another program`,
    )
  }
  return newer
}

function assertUsable(step: Applied): void {
  const oldest = oldestFor(step)
  if (oldest === null) {
    throw new StoreUnusable(`the database is newer than this program (it has ${step.name}): upgrade keyturn`)
  }
  if (isOlder(version, oldest)) {
    throw new StoreUnusable(
      `the database has ${step.name}, after which only keyturn ${oldest} and later can use it, and this is ${version}: upgrade keyturn`,
    )
  }
}
