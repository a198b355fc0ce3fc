/** The only way to open a database in a file. Must not know what the database contains. */
import { resolve } from 'node:path'
import Database from 'better-sqlite3'
import { StoreUnusable } from '../db.ts'

/**
 * The driver trims the name, and SQLite reads a name that begins with `file:` as a URI. Then the checks of the name would concern one
 * file, and another one would be opened. An absolute path without trailing white space means the same file to all of them. A database in
 * memory has no file.
 * @throws {StoreUnusable} if the name ends with white space
 */
export function wholePath(name: string): string {
  if (name === ':memory:') return name
  const path = resolve(name)
  if (path === path.trim()) return path
  throw new StoreUnusable(`the name of the database ${JSON.stringify(name)} ends with white space`)
}

export const connect = (name: string, options: Database.Options = {}): Database.Database =>
  new Database(wholePath(name), options)

/** The name of the file that SQLite has opened, with all links resolved. */
export function openedFile(db: Database.Database): string {
  const [main] = db.pragma('database_list') as { readonly file: string }[]
  return main?.file ?? ''
}
