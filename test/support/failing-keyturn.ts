/**
 * The program as it is, with a place to die, a faster clock or a careless database. An entry of its own, so that what everybody runs
 * has no such switch.
 */
import Database from 'better-sqlite3'
import { start } from '../../src/main.ts'
import { systemClock } from '../../src/system.ts'
import { scaledClock } from './clock.ts'

const { FAIL_AT, FAIL_NTH = '1', CLOCK, SYNCHRONOUS } = process.env
let reached = 0

if (SYNCHRONOUS !== undefined) {
  const { pragma } = Database.prototype
  Database.prototype.pragma = function (source, options) {
    return pragma.call(this, source.replace('synchronous = FULL', `synchronous = ${SYNCHRONOUS}`), options)
  }
}

await start({
  failpoint(name) {
    if (name !== FAIL_AT) return
    reached += 1
    // Nothing runs after this: no handler, no flush, no rollback.
    if (reached === Number(FAIL_NTH)) process.kill(process.pid, 'SIGKILL')
  },
  clock: CLOCK === undefined ? systemClock : scaledClock(JSON.parse(CLOCK)),
})
