/**
 * A program of its own: looks at every page of the database that it is given, says `ok` or what it found, and ends. A process
 * and not a thread, because nothing interrupts SQLite in the middle of this but the end of its process.
 */
import Database from 'better-sqlite3'

const [, , file = ''] = process.argv
const db = new Database(file, { readonly: true, fileMustExist: true, timeout: 2000 })
process.stdout.write(String(db.pragma('quick_check(1)', { simple: true })))
db.close()
