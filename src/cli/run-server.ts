/** A serving process, from the open ports to the last span. Loaded by `serve`, which may have begun to generate the first keys. */
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { serveHashing } from '../accounts/hashing-limits.ts'
import { ensureBuiltIns } from '../admin/built-ins.ts'
import { type Recorder, startRecorder } from '../audit/recorder.ts'
import type { Config } from '../config/load.ts'
import { isPostgresUrl } from '../config/parsers.ts'
import { createAdminApp, createApp, createMtlsApp } from '../http/app.ts'
import type { AppDeps } from '../http/app-parts.ts'
import type { TlsFiles } from '../http/tls/files.ts'
import { openKeys } from '../keys/index.ts'
import type { FirstLanes } from '../keys/new-keys.ts'
import { isLoopbackAddress, isLoopbackHost } from '../loopback.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { BackgroundJobs } from '../node/background-jobs.ts'
import { type Base, closeBase, openBase, type System } from '../node/base.ts'
import { type ChangePoller, startChangePoller } from '../node/change-poller.ts'
import {
  assertRecorded,
  assertRing,
  explainMissing,
  migrationModeFor,
  recordStore,
} from '../node/expected-store.ts'
import type { NodeInfo } from '../node/heartbeat.ts'
import { joinNodes } from '../node/node-settings.ts'
import { openServer } from '../node/server.ts'
import { createStoreRecord } from '../node/store-record.ts'
import { growYoungGenerationUnderLoad } from '../node/young-generation.ts'
import { openClientAuthorities } from '../oauth/mtls/client-authorities.ts'
import { systemMonotonic } from '../system.ts'
import { version } from '../version.ts'
import type { Context, Json } from './context.ts'
import { type KeyOptions, keyChoice } from './key-options.ts'
import { listenOn, reservePorts } from './listen.ts'
import { withProgress } from './progress.ts'
import { printStartup } from './startup-text.ts'

/** How long a stopping server waits for requests in progress. */
export const SHUTDOWN_TIMEOUT_MS = 10_000
const IDLE_CHECK_MS = 100

/** What `serve` has begun while this module was being loaded. */
interface Begun {
  /** The settings of this process. */
  readonly own: Config
  /** The keys of a store that this start will probably create. */
  readonly firstLanes: FirstLanes | undefined
  /** Resolves with the signal that stops the server. */
  readonly stopped: Promise<string>
}

export interface ServeOptions extends KeyOptions, Json {
  readonly new?: boolean
}

export async function runServer(
  context: Context,
  options: ServeOptions,
  { own, firstLanes, stopped }: Begun,
): Promise<void> {
  const { io } = context
  const { config, release } = await reservePorts(own)
  // Imported here because it is slow to load and no other command needs it.
  const { createMetrics } = await import('../metrics/metrics.ts')
  const metrics = createMetrics({ processMetrics: config.metricsPort !== null })
  const nodeInfo = { hostname: hostname(), pid: io.pid }
  const machine = { ...context.system(config), metrics, nodeInfo, hashingLimits: serveHashing() }
  const system = await withTracing(config, machine, nodeInfo)
  const tls = await openTls(config, system)
  const base = await openOwnBase(config, system, options.new === true).catch((error) => {
    tls?.stop()
    throw error
  })
  let recorder: Recorder | undefined
  let poller: ChangePoller | undefined
  let jobs: BackgroundJobs | undefined
  try {
    let stopping = false
    const keys = await withProgress(
      io,
      () => 'generating the signing keys …',
      openKeys(base, { ...keyChoice(options), firstLanes }),
    )
    const server = await openServer(base, keys, system, () =>
      stopping ? 'the server is stopping' : (poller?.problem() ?? null),
    )
    jobs = server.jobs
    await joinNodes({
      config,
      nodes: base.store.nodes,
      clock: base.clock,
      logger: system.logger,
      nodeInfo,
      record: server.jobs.heartbeat,
      isRunning: io.isRunning,
    })
    await recordStore(base.store, base.record, system.logger)
    // After everything that can refuse the start, which must not change the store.
    await ensureBuiltIns(base)
    await server.registry.sync()
    await release()
    const metricsApp = config.metricsPort === null ? null : await listenForMetrics(config, metrics, system)
    const ports: FastifyInstance[] = []
    recorder = startRecorder(base.auditLog, { clock: base.clock, logger: system.logger })
    try {
      // Before the main port, which is announced: when it answers, the administration does too.
      const deps: AppDeps = {
        server,
        logger: system.logger as FastifyBaseLogger,
        metrics,
        tracing: system.tracing,
        tls,
      }
      const adminApp = hasAdminPort(config) ? await listenForAdmin(deps) : null
      if (adminApp) ports.push(adminApp)
      if (config.mtlsPort !== null) ports.push(await listenForMtls(deps, config.mtlsPort))
      ports.push(await listen(deps))
      poller = startChangePoller(server.jobs, system.logger, { changes: base.store.db.changes })
      if (config.ignoredVariables.length > 0)
        system.logger.info(
          { variables: config.ignoredVariables },
          'ignored variables that Kubernetes sets for a service',
        )
      // Without `--json`, a person reads both streams, and `printStartup` says the same. With it, a program reads standard output, so
      // the log needs a line of its own.
      const { issuer, host, port } = config
      if (options.json) system.logger.info({ version, issuer, host, port }, 'serving')
      const announced = { metricsPort: portOf(metricsApp), adminPort: portOf(adminApp) }
      await printStartup(context, options, server, announced)

      const stopGrowth = io.youngGenerationIsSmall ? growYoungGenerationUnderLoad() : undefined
      const signal = await stopped
      stopGrowth?.()
      system.logger.info({ signal }, 'stopping')
      stopping = true
      await sleep(config.shutdownDelay * 1000)
    } finally {
      await Promise.all(ports.map((app) => close(app, io.forceExit)))
      await poller?.stop()
      await recorder.stop()
      // Closed after the main server, so that metrics of the shutdown can still be scraped.
      if (metricsApp) await close(metricsApp, io.forceExit)
    }
  } finally {
    await release()
    // Otherwise a node that could not start would be listed as serving.
    if (!poller) await jobs?.stop()
    // The recorder has already written the pending audit events, or logged that it could not.
    await (recorder ? base.store.db.close() : closeBase(base, system.logger))
    // After the store is closed, so that the spans of its last statements are sent too.
    await system.tracing?.stop()
    tls?.stop()
  }
  system.logger.info('stopped')
}

/** Opens the store that belongs to the master key, or creates a store if nothing indicates that there was one. */
async function openOwnBase(config: Config, system: System, isNew: boolean): Promise<Base> {
  const record = createStoreRecord(config)
  const mode = migrationModeFor(config, record, isNew)
  const base = await openBase(config, system, mode).catch((error) => {
    throw explainMissing(error, config, record)
  })
  try {
    if (!isNew) assertRecorded(await base.store.identity.read(), config, record)
    await assertRing(base.store, config, record, isNew)
    return base
  } catch (error) {
    await base.store.db.close()
    throw error
  }
}

/** Adds tracing if it is configured; the OpenTelemetry modules are loaded only then. */
async function withTracing(config: Config, system: System, nodeInfo: NodeInfo): Promise<System> {
  if (config.tracing === null) return system
  const { openTracing } = await import('../tracing/open.ts')
  const tracing = openTracing(config.tracing, {
    issuer: config.issuer,
    database: isPostgresUrl(config.databaseUrl) ? 'postgresql' : 'sqlite',
    nodeInfo,
    logger: system.logger,
    monotonic: systemMonotonic,
  })
  return { ...system, tracing, logger: tracing.logger(system.logger) }
}

/**
 * Loads TLS if it is configured.
 * @throws {ConfigError} if a file cannot be used, also that of the authorities of clients, which is opened later
 */
async function openTls(config: Config, { logger }: System): Promise<TlsFiles | null> {
  await openClientAuthorities(config, logger)
  if (config.tlsCertFile === null) return null
  const { openTlsFiles } = await import('../http/tls/files.ts')
  return openTlsFiles(config, logger)
}

async function listen(deps: AppDeps): Promise<FastifyInstance> {
  const { config } = deps.server.base
  return listenOn(await createApp(deps), config, { port: config.port, setting: 'KEYTURN_PORT' })
}

async function listenForMtls(deps: AppDeps, port: number): Promise<FastifyInstance> {
  return listenOn(await createMtlsApp(deps), deps.server.base.config, { port, setting: 'KEYTURN_MTLS_PORT' })
}

const hasAdminPort = ({ admin, adminPort }: Config): boolean => admin && adminPort !== null

async function listenForAdmin(deps: AppDeps): Promise<FastifyInstance> {
  const { config } = deps.server.base
  const at = { port: config.adminPort ?? 0, setting: 'KEYTURN_ADMIN_PORT' }
  return listenOn(await createAdminApp(deps), config, at)
}

async function listenForMetrics(config: Config, metrics: Metrics, system: System): Promise<FastifyInstance> {
  const { host } = config
  const localOnly = isLoopbackHost(host) || isLoopbackAddress(host)
  const { createMetricsApp } = await import('../http/metrics-app.ts')
  const app = createMetricsApp({ metrics, localOnly, logger: system.logger as FastifyBaseLogger })
  return listenOn(app, config, { port: config.metricsPort ?? 0, setting: 'KEYTURN_METRICS_PORT' })
}

/** Waits for requests in progress, and after SHUTDOWN_TIMEOUT_MS closes all connections, so that the server always stops. */
async function close(app: FastifyInstance, forceExit: (code: number) => void): Promise<void> {
  const timeout = setTimeout(() => {
    app.server.closeAllConnections()
    setTimeout(() => forceExit(1), 1000).unref()
  }, SHUTDOWN_TIMEOUT_MS)
  // Node.js closes idle connections only once; one that becomes idle later would delay the stop until its time-out.
  const idleCheck = setInterval(() => app.server.closeIdleConnections(), IDLE_CHECK_MS)
  await app.close()
  clearInterval(idleCheck)
  clearTimeout(timeout)
}

const portOf = (app: FastifyInstance | null): number | undefined =>
  (app?.server.address() as AddressInfo | undefined)?.port
