/** The doctor's look at the store as an engine: is it there, does it keep what it is given, is it whole. */
import { existsSync } from 'node:fs'
import type { Config } from '../config/load.ts'
import { databaseOptions } from '../node/base.ts'
import type { Db } from '../store/db.ts'
import { databaseFile, isPostgres, openDb } from '../store/index.ts'

export async function openExisting(config: Config): Promise<readonly [string, Db | null]> {
  const remote = isPostgres(config.databaseUrl)
  const file = databaseFile(config.databaseUrl)
  if (!remote) {
    if (file === null) return ['in memory: all is gone when the server stops', null]
    if (!existsSync(file)) return ['there is none yet: keyturn serve makes it', null]
  }
  const db = openDb(config.databaseUrl, databaseOptions(config))
  try {
    if (!remote) {
      await db.query('SELECT count(*) FROM sqlite_master')
      return ['it opens', db]
    }
    const [row] = await db.query<{ version: string }>(`SELECT current_setting('server_version') AS version`)
    return [`PostgreSQL ${row?.version} answers`, db]
  } catch (error) {
    await db.close()
    throw error
  }
}

async function pragma(db: Db, name: string): Promise<unknown[]> {
  return (await db.query(`PRAGMA ${name}`)).flatMap((row) => Object.values(row))
}

const FULL = 2

export async function checkDurability(db: Db, config: Config): Promise<readonly [string]> {
  if (isPostgres(config.databaseUrl)) return checkServerDurability(db)
  const [[mode], [synchronous]] = [await pragma(db, 'journal_mode'), await pragma(db, 'synchronous')]
  if (mode !== 'wal') {
    throw new Error(`the file system does not allow a write-ahead log (${mode}): use a local disk`)
  }
  if (synchronous !== FULL) throw new Error(`synchronous is ${synchronous} instead of FULL: report this`)
  return ['every commit is flushed to disk (WAL, synchronous=FULL)']
}

async function checkServerDurability(db: Db): Promise<readonly [string]> {
  const [row] = await db.query<{ fsync: string; full_page_writes: string; read_only: string }>(
    `SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
            current_setting('transaction_read_only') AS read_only`,
  )
  if (row?.read_only !== 'off') {
    throw new Error('the server only reads (a standby?): point KEYTURN_DATABASE_URL at the primary')
  }
  for (const name of ['fsync', 'full_page_writes'] as const) {
    if (row[name] !== 'on')
      throw new Error(`the server runs with ${name} = ${row[name]}: a power cut may damage it`)
  }
  return ['every commit is flushed to disk (fsync = on)']
}

export async function checkIntegrity(db: Db, config: Config): Promise<readonly [string]> {
  if (isPostgres(config.databaseUrl)) return ['left to the server (data checksums, pg_amcheck)']
  const [first, ...more] = await pragma(db, 'integrity_check')
  const broken = await db.query('PRAGMA foreign_key_check')
  if (first !== 'ok') {
    const others = more.length > 0 ? ` and ${more.length} more` : ''
    throw new Error(`the database is damaged (${first}${others}): restore a backup`)
  }
  if (broken.length > 0)
    throw new Error(`${broken.length} rows refer to rows that are gone: restore a backup`)
  return ['no damage found']
}
