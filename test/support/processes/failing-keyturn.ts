/**
 * The unchanged program with a fail point, a faster or wrong clock, or a database that does not flush or flushes slowly. It is
 * a separate entry, so that the real one has no such switch.
 */
import { readFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { start } from '../../../src/main.ts'
import { systemClock } from '../../../src/system.ts'
import { scaledClock } from '../server/clock.ts'
import { injectWriterFault, reportThreads } from './writer-faults.ts'

const { FAIL_AT, FAIL_NTH = '1', CLOCK, SYNCHRONOUS, WRONG_BY, FLUSH_DELAY, WRITER_FAULT } = process.env
let reached = 0

if (WRONG_BY !== undefined) {
  // As if the machine’s clock was set: the monotonic clock does not notice.
  const right = Date.now
  const read = () => Number(readFileSync(WRONG_BY, 'utf8')) * 1000
  let shift = read()
  Date.now = () => right() + shift
  process.on('SIGUSR2', () => {
    shift = read()
  })
}

if (SYNCHRONOUS !== undefined) {
  const { pragma } = Database.prototype
  Database.prototype.pragma = function (source, options) {
    return pragma.call(this, source.replace('synchronous = FULL', `synchronous = ${SYNCHRONOUS}`), options)
  }
}

if (FLUSH_DELAY !== undefined) reportThreads()
if (WRITER_FAULT !== undefined) injectWriterFault(JSON.parse(WRITER_FAULT))

await start({
  failpoint(name) {
    if (name !== FAIL_AT) return
    reached += 1
    // Nothing runs after this: no handler, no flush, no rollback.
    if (reached === Number(FAIL_NTH)) process.kill(process.pid, 'SIGKILL')
  },
  clock: CLOCK === undefined ? systemClock : scaledClock(JSON.parse(CLOCK)),
  ...(FLUSH_DELAY === undefined ? {} : { flushDelay: Number(FLUSH_DELAY) }),
})
