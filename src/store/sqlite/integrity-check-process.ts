/**
 * A program that checks every page of a database, prints `ok` or what it found, and exits. It is a process and not a thread,
 * because only the end of the process can interrupt SQLite during the check.
 */
import Database from 'better-sqlite3'

const [, , file = ''] = process.argv
const db = new Database(file, { readonly: true, fileMustExist: true, timeout: 2000 })
process.stdout.write(String(db.pragma('quick_check(1)', { simple: true })))
db.close()
