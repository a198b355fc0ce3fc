import { type AddressInfo, createServer } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { type Recorder, startRecorder } from '../audit/recorder.ts'
import { type Config, onPort } from '../config/load.ts'
import { isPostgresUrl } from '../config/parsers.ts'
import { createApp, createMetricsApp } from '../http/app.ts'
import { issuerBase } from '../issuer-path.ts'
import { openKeys } from '../keys/index.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { closeBase, openBase, type System } from '../node/base.ts'
import { type ChangePoller, startChangePoller } from '../node/change-poller.ts'
import type { NodeInfo } from '../node/heartbeat.ts'
import { openServer, type Server } from '../node/server.ts'
import { systemMonotonic } from '../system.ts'
import { version } from '../version.ts'
import { action, CommandError, type CommandFactory, type Context, examples } from './context.ts'
import { bitsOption, type KeyOptions, keyChoice } from './key-options.ts'
import { withProgress } from './progress.ts'

/** How long requests in flight may take to finish when the server is asked to stop. */
export const SHUTDOWN_TIMEOUT_MS = 10_000
const IDLE_CHECK_MS = 100

export const serveCommand: CommandFactory = (context) =>
  examples(
    action('serve', 'run the server')
      .addOption(bitsOption('size of the keys of a new ring'))
      .action((options: KeyOptions & { json?: boolean }) => serve(context, options)),
    'serve',
    'serve --bits 4096',
  )

async function serve(context: Context, options: KeyOptions & { json?: boolean }): Promise<void> {
  const { io } = context
  const stopped = io.stopSignal()
  const { config, release } = await reservePort(context.config())
  // Only here: no command but this one has use for it, and it takes its time to load.
  const { createMetrics } = await import('../metrics/metrics.ts')
  const metrics = createMetrics({ processMetrics: true })
  const nodeInfo = { hostname: hostname(), pid: io.pid }
  const system = await traced(config, { ...context.system(config), metrics, nodeInfo }, nodeInfo)
  const base = await openBase(config, system, 'apply')
  let recorder: Recorder | undefined
  try {
    let stopping = false
    let poller: ChangePoller | undefined
    const keys = await withProgress(
      io,
      () => 'generating the signing keys …',
      openKeys(base, keyChoice(options)),
    )
    const server = await openServer(base, keys, system, () =>
      stopping ? 'the server is stopping' : (poller?.problem() ?? null),
    )
    await release()
    const scraped = config.metricsPort === null ? null : await listenForMetrics(config, metrics, system)
    let app: FastifyInstance | undefined
    recorder = startRecorder(base.auditLog, { clock: base.clock, logger: system.logger })
    try {
      app = await listen(server, system, metrics)
      poller = startChangePoller(server.jobs, system.logger, { changes: base.store.db.changes })
      system.logger.info({ version, issuer: config.issuer, host: config.host, port: config.port }, 'serving')
      await announce(context, options, server, scraped)

      const signal = await stopped
      system.logger.info({ signal }, 'stopping')
      stopping = true
      await sleep(config.shutdownDelay * 1000)
    } finally {
      if (app) await close(app, io.endNow)
      await poller?.stop()
      await recorder.stop()
      // Last, so that what happens while stopping is still seen.
      if (scraped) await close(scraped, io.endNow)
    }
  } finally {
    await release()
    // What it could not write, it has said.
    await (recorder ? base.store.db.close() : closeBase(base, system.logger))
    // After everything that could have been traced.
    await system.tracing?.stop()
  }
  system.logger.info('stopped')
}

/** The same, telling OpenTelemetry what it does, if the settings ask for it; only then is there anything of that to load. */
async function traced(config: Config, system: System, nodeInfo: NodeInfo): Promise<System> {
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

async function listen(server: Server, system: System, metrics: Metrics): Promise<FastifyInstance> {
  const { config } = server.base
  const app = await createApp({
    server,
    logger: system.logger as FastifyBaseLogger,
    metrics,
    tracing: system.tracing,
  })
  return listenOn(app, config.host, config.port)
}

function listenForMetrics(config: Config, metrics: Metrics, system: System): Promise<FastifyInstance> {
  const app = createMetricsApp({ metrics, logger: system.logger as FastifyBaseLogger })
  return listenOn(app, config.host, config.metricsPort ?? 0)
}

async function listenOn(app: FastifyInstance, host: string, port: number): Promise<FastifyInstance> {
  try {
    await app.listen({ host, port })
    return app
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const where = `${host}:${port}`
    throw new CommandError(
      code === 'EADDRINUSE'
        ? `${where} is in use by another program (KEYTURN_PORT takes another)`
        : `${where}: ${message}`,
    )
  }
}

/** In-flight requests finish; connections that are still busy after that are cut, so that a stop always ends. */
async function close(app: FastifyInstance, endNow: (code: number) => void): Promise<void> {
  const patience = setTimeout(() => {
    app.server.closeAllConnections()
    setTimeout(() => endNow(1), 1000).unref()
  }, SHUTDOWN_TIMEOUT_MS)
  // Node looks for idle connections once; one that was busy then would be waited for until it times out.
  const idle = setInterval(() => app.server.closeIdleConnections(), IDLE_CHECK_MS)
  await app.close()
  clearInterval(idle)
  clearTimeout(patience)
}

interface Reserved {
  readonly config: Config
  /** Gives the port up, for the server to take it. */
  release(): Promise<void>
}

/**
 * The issuer names the port, so it must be known before the server is put together. A free one is held until then:
 * making the first keys takes long enough for another program to get it.
 */
async function reservePort(config: Config): Promise<Reserved> {
  if (config.port !== 0) return { config, release: async () => {} }
  const holder = createServer()
  await new Promise<void>((resolve, reject) => {
    holder.once('error', reject)
    holder.listen(0, config.host, resolve)
  })
  // A start that is refused must not be kept alive by it.
  holder.unref()
  const { port } = holder.address() as AddressInfo
  return {
    config: onPort(config, port),
    release: () => new Promise((resolve) => holder.close(() => resolve())),
  }
}

async function announce(
  context: Context,
  options: { json?: boolean },
  { base, keys }: Server,
  scraped: FastifyInstance | null,
): Promise<void> {
  const { config, store } = base
  const url = issuerBase(config.issuer)
  const fresh = keys.firstStart || (await store.clients.list()).length === 0
  const metricsPort = (scraped?.server.address() as AddressInfo | undefined)?.port
  const lines = [`Keyturn ${version} serves ${config.issuer} on ${config.host}:${config.port}`]
  if (metricsPort !== undefined) lines.push(`Metrics are on ${config.host}:${metricsPort}/metrics`)
  if (fresh) lines.push('', 'For a first token, in another terminal:', '', ...firstCommands(url), '')
  if (fresh)
    lines.push(
      'To sign users in, see "Sign users in" in README.md. Their account page is at',
      `${url}/account`,
      '',
    )
  const value = {
    issuer: config.issuer,
    host: config.host,
    port: config.port,
    ...(metricsPort === undefined ? {} : { metrics_port: metricsPort }),
    first_start: keys.firstStart,
  }
  context.print(options, value, lines.join('\n'))
}

/** The next three commands that a newcomer would type; a test types them. */
function firstCommands(url: string): string[] {
  return [
    '  npx keyturn apis create https://orders.example --scope orders:read',
    '  npx keyturn clients create --name hello --id hello --grant client_credentials --scope orders:read --env > hello.env',
    `  . ./hello.env && curl -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials ${url}/oauth2/token`,
  ]
}
