/**
 * `node bench/prune.ts [rows]`: a million sessions that have ended, in a SQLite file: how long until they are forgotten, and how
 * long the longest moment in which no request could have been answered? SQLite works on the event loop, so it is the
 * engine to look at.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { loadConfig } from '../src/config/load.ts'
import { createLogger } from '../src/log/logger.ts'
import { openBase } from '../src/node/base.ts'
import { prune } from '../src/node/prune.ts'
import { storeRegistry } from './servers/keyturn.ts'
import { storeSessions } from './stored.ts'

const { positionals } = parseArgs({ allowPositionals: true })
const rows = Number(positionals[0] ?? 1_000_000)
const YEAR = 365 * 86_400

const folder = mkdtempSync(join(tmpdir(), 'keyturn-sweep-'))
const config = loadConfig({ KEYTURN_DATABASE_URL: `sqlite:${join(folder, 'keyturn.db')}` }, folder)
const logger = createLogger({ level: 'silent', pretty: false, destination: 2 })
const { store, clock } = await openBase(config, { logger }, 'apply')
try {
  await storeRegistry(store, clock.now(), null)
  await storeSessions(store, clock.now(), rows, 0)
  const later = { now: () => clock.now() + YEAR }
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const began = performance.now()
  const cpu = process.cpuUsage()
  await prune(store, later)
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - began) / 1000
  const milliseconds = (nanoseconds: number) => (nanoseconds / 1e6).toFixed(1)
  const [left] = await store.db.query<{ n: number }>('SELECT count(*) AS n FROM client_sessions')
  process.stdout.write(
    `${rows} sessions gone (${left?.n} left) in ${seconds.toFixed(1)} s, ${((user + system) / 1e6).toFixed(1)} s of processor time\n` +
      `the event loop was held up for ${milliseconds(delay.percentile(50))} ms (median), ` +
      `${milliseconds(delay.percentile(99))} ms (p99), ${milliseconds(delay.max)} ms at most\n`,
  )
} finally {
  await store.db.close()
  rmSync(folder, { recursive: true, force: true })
}
