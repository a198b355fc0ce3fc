/**
 * `node bench/prune.ts [rows]`: how long it takes to delete a million expired sessions, and for how long the event loop is
 * blocked at most. Uses SQLite, because SQLite runs on the event loop.
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

const folder = mkdtempSync(join(tmpdir(), 'keyturn-prune-'))
const config = loadConfig({ KEYTURN_DATABASE_URL: `sqlite:${join(folder, 'keyturn.db')}` }, folder)
const logger = createLogger({ level: 'silent', pretty: false, destination: 2 })
const { store, clock } = await openBase(config, { logger }, 'create')
try {
  await storeRegistry(store, clock.now(), null)
  await storeSessions(store, clock.now(), rows, 0)
  const laterClock = { now: () => clock.now() + YEAR }
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const start = performance.now()
  const cpu = process.cpuUsage()
  await prune(store, laterClock)
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - start) / 1000
  const milliseconds = (nanoseconds: number) => (nanoseconds / 1e6).toFixed(1)
  const [remaining] = await store.db.query<{ n: number }>('SELECT count(*) AS n FROM client_sessions')
  process.stdout.write(
    `deleted ${rows} sessions (${remaining?.n} left) in ${seconds.toFixed(1)} s, ${((user + system) / 1e6).toFixed(1)} s of processor time\n` +
      `the event loop was blocked for ${milliseconds(delay.percentile(50))} ms (median), ` +
      `${milliseconds(delay.percentile(99))} ms (p99), ${milliseconds(delay.max)} ms at most\n`,
  )
} finally {
  await store.db.close()
  rmSync(folder, { recursive: true, force: true })
}
