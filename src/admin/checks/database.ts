/** Checks of the database: that it opens, is durable and is undamaged. */
import type { Config } from '../../config/load.ts'
import { isPostgres } from '../../store/database-url.ts'
import type { Db } from '../../store/db.ts'

/** @throws {StoreUnavailable | StoreMissing | StoreUnusable} */
export async function checkAnswers(db: Db, config: Config): Promise<readonly [string]> {
  if (!isPostgres(config.databaseUrl)) {
    await db.query('SELECT count(*) FROM sqlite_master')
    return ['the database can be opened']
  }
  const [row] = await db.query<{ version: string }>(`SELECT current_setting('server_version') AS version`)
  return [`PostgreSQL ${row?.version} answers`]
}

async function pragma(db: Db, name: string): Promise<unknown[]> {
  return (await db.query(`PRAGMA ${name}`)).flatMap((row) => Object.values(row))
}

/** https://www.sqlite.org/pragma.html#pragma_synchronous */
const SYNCHRONOUS_FULL = 2

export async function checkDurability(db: Db, config: Config): Promise<readonly [string]> {
  if (isPostgres(config.databaseUrl)) return checkServerDurability(db)
  const [[mode], [synchronous]] = [await pragma(db, 'journal_mode'), await pragma(db, 'synchronous')]
  if (mode !== 'wal') {
    throw new Error(`the file system does not allow a write-ahead log (${mode}): use a local disk`)
  }
  if (synchronous !== SYNCHRONOUS_FULL)
    throw new Error(`synchronous is ${synchronous} instead of FULL: report this`)
  return ['every commit is flushed to disk (WAL, synchronous=FULL)']
}

async function checkServerDurability(db: Db): Promise<readonly [string]> {
  const [row] = await db.query<{ fsync: string; full_page_writes: string; read_only: string }>(
    `SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
            current_setting('transaction_read_only') AS read_only`,
  )
  if (row?.read_only !== 'off') {
    throw new Error(
      'the database server is read-only (a standby?): point KEYTURN_DATABASE_URL at the primary',
    )
  }
  for (const name of ['fsync', 'full_page_writes'] as const) {
    if (row[name] !== 'on')
      throw new Error(
        `the database server runs with ${name} = ${row[name]}: a power failure may damage the data`,
      )
  }
  return ['every commit is flushed to disk (fsync = on)']
}

export async function checkIntegrity(db: Db, config: Config): Promise<readonly [string]> {
  if (isPostgres(config.databaseUrl))
    return ['not checked: use the data checksums and pg_amcheck of PostgreSQL']
  const [first, ...more] = await pragma(db, 'integrity_check')
  const broken = await db.query('PRAGMA foreign_key_check')
  if (first !== 'ok') {
    const others = more.length > 0 ? ` and ${more.length} more` : ''
    throw new Error(`the database is damaged (${first}${others}): restore a backup`)
  }
  if (broken.length > 0)
    throw new Error(`${broken.length} rows refer to rows that do not exist: restore a backup`)
  return ['no damage found']
}
