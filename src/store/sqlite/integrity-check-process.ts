/**
 * A program that checks every page of a database, prints `ok` or the problem, and exits. It is a process and not a thread, because
 * SQLite can be interrupted during the check only by killing the process.
 */
import { connect } from './connect.ts'

const [, , file = ''] = process.argv
const db = connect(file, { readonly: true, fileMustExist: true, timeout: 2000 })
process.stdout.write(String(db.pragma('quick_check(1)', { simple: true })))
db.close()
