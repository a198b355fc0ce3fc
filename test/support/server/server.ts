import { randomBytes } from 'node:crypto'
import type { FastifyBaseLogger, FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import { ensureBuiltIns } from '../../../src/admin/built-ins.ts'
import { type Config, loadConfig } from '../../../src/config/load.ts'
import { createApp } from '../../../src/http/app.ts'
import type { AppDeps } from '../../../src/http/app-parts.ts'
import type { TlsFiles } from '../../../src/http/tls/files.ts'
import { openKeys } from '../../../src/keys/index.ts'
import { createMetrics, type Metrics } from '../../../src/metrics/metrics.ts'
import { openBase, type System } from '../../../src/node/base.ts'
import { openServer, type Server } from '../../../src/node/server.ts'
import type { Store } from '../../../src/store/index.ts'
import { watchAudit } from './audit-consistency.ts'
import { cachedKeys } from './cached-keys.ts'
import { type TestClock, testClock } from './clock.ts'
import { claimStore } from './engine.ts'
import { type TestLogger, testLogger } from './log.ts'
import './quick-hashing.ts'

export const ISSUER = 'https://issuer.test'

export interface TestServer {
  readonly app: FastifyInstance
  readonly config: Config
  readonly clock: TestClock
  readonly logger: TestLogger
  readonly store: Store
  readonly deps: Server
  /** For a further port of the same server. */
  readonly appDeps: AppDeps
  readonly metrics: Metrics
  /** One request, without a socket. */
  inject(options: InjectOptions): Promise<LightMyRequestResponse>
  /** What a running server does a few times a second: polls, delivers logout tokens, maintains the keys. */
  poll(): Promise<void>
  close(): Promise<void>
}

export interface TestServerOptions extends Partial<Omit<System, 'clock' | 'logger'>> {
  /** Settings without the prefix, e.g. `{ REFRESH_GRACE: '5s' }`. */
  readonly settings?: Record<string, string>
  readonly clock?: TestClock
  /** A file keeps the store across servers; without it the store ends with the server. */
  readonly database?: string
  readonly masterKey?: string
  readonly problem?: () => string | null
  /** Why the stored audit trail cannot be compared with the log at the end. */
  readonly skipAuditCheck?: string
  /** A real log instead of `logger`, which then stays empty. */
  readonly log?: FastifyBaseLogger
  /** TLS of the server; without it, plain HTTP. */
  readonly openTls?: (config: Config, logger: TestLogger) => Promise<TlsFiles | null>
}

export function testConfig(settings: Record<string, string> = {}): Config {
  const env = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`KEYTURN_${name}`, value]))
  // A folder without a .env file.
  return loadConfig(
    {
      KEYTURN_ISSUER: ISSUER,
      KEYTURN_DATABASE_URL: 'sqlite::memory:',
      // A record in the folder of the checkout would be of another store.
      KEYTURN_STORE_RECORD_FILE: 'off',
      ...env,
    },
    '/nonexistent',
    { inMemory: true },
  )
}

/** A whole server in this process, with its own store and clock. Close it with `t.teardown`. */
export async function testServer(options: TestServerOptions = {}): Promise<TestServer> {
  // Metrics as in a serving process, so that every test exercises them.
  const {
    clock = testClock(),
    metrics = createMetrics(),
    settings,
    database,
    masterKey,
    problem,
    log,
    skipAuditCheck,
    openTls,
    ...system
  } = options
  const logger = testLogger()
  const plain = log ?? (logger as unknown as FastifyBaseLogger)
  const lines = system.tracing?.logger(plain) ?? plain
  const claimed = await claimStore(database)
  const config = testConfig({
    MASTER_KEY: masterKey ?? randomBytes(32).toString('base64url'),
    DATABASE_URL: claimed.url,
    // Enough connections for concurrency; PostgreSQL starts a process for each, which takes time.
    DATABASE_POOL: '4',
    // On a busy machine a connection takes longer than the default of five seconds.
    DATABASE_TIMEOUT: '2m',
    ...settings,
  })
  const machine: System = { generateKey: cachedKeys, ...system, metrics, clock, logger: lines }
  const base = await openBase(config, machine, 'create')
  const auditCheck =
    skipAuditCheck === undefined ? await watchAudit(base, log ? undefined : logger, database) : undefined
  const keys = await openKeys(base)
  await ensureBuiltIns(base)
  const deps = await openServer(base, keys, machine, problem)
  const tls = (await openTls?.(config, logger)) ?? null
  const appDeps: AppDeps = { server: deps, logger: lines, metrics, tracing: system.tracing, tls }
  const app = await createApp(appDeps)
  await app.ready()
  return {
    app,
    config,
    clock,
    logger,
    store: base.store,
    deps,
    appDeps,
    metrics,
    inject: (request) => app.inject(request),
    async poll() {
      await deps.jobs.poll()
      await deps.jobs.deliverLogouts()
      await deps.jobs.maintainKeys()
    },
    async close() {
      await app.close()
      tls?.stop()
      await deps.jobs.stop()
      try {
        await auditCheck?.check()
      } finally {
        await base.store.db.close()
        await claimed.release()
      }
    },
  }
}
