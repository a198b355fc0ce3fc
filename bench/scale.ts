/**
 * `node bench/scale.ts`: tokens per second, memory and start-up time with 0, 100,000 and 1,000,000 stored sessions on SQLite and
 * PostgreSQL. Shows whether a cost grows with the store. Each store has its own server, and the servers take turns.
 */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { table } from '../src/cli/output.ts'
import { systemRandom } from '../src/system.ts'
import { run } from '../test/support/postgres/databases.ts'
import { type Progress, runBenchCommand } from './command.ts'
import { clientCredentials, type Load, type Measurement, measure, type Scenario } from './measure.ts'
import { median } from './report.ts'
import { serve, startKeyturn, timeStart } from './servers/keyturn.ts'
import { cpuOfPostgres, queryNumber, startDurablePostgres } from './servers/postgres.ts'
import { storedSessions } from './stored.ts'
import { type Subject, stop } from './subject.ts'
import { rssMb } from './usage.ts'

const HELP = `node bench/scale.ts [options]

  --sizes <n,n,…>     numbers of stored sessions (0,100000,1000000)
  --rounds <n>        rounds per server, in turn (7)
  --seconds <n>       length of a round (1.5)
  --connections <n>   concurrent requests (16)
  --starts <n>        measured starts per server (5)
  --json              print one JSON document
`

/** Sessions that are refreshed, one after the other; they are spread over the whole store. An "empty" store has only these. */
const REFRESHING_SESSIONS = 1024
const SETTLE_MS = 4000
const ENGINES = ['sqlite', 'postgres'] as const
type Engine = (typeof ENGINES)[number]

/** Takes about five minutes on two idle cores, most of it for storing sessions. */
export const SCALE = { sizes: [0, 100_000, 1_000_000], rounds: 7, seconds: 1.5, connections: 16, starts: 5 }

export interface ScaleOptions {
  readonly sizes: readonly number[]
  readonly rounds: number
  readonly load: Load
  readonly starts: number
  readonly progress: Progress
}

interface Installation {
  readonly engine: Engine
  readonly sessions: number
  readonly subject: Subject
  /** Processor seconds of the database server; 0 for SQLite. */
  readonly storeCpu: () => number
  /** Bytes that the database has written to its write-ahead log. */
  readonly logBytesWritten: () => Promise<number>
  readonly start: { readonly milliseconds: number; readonly cpu: number }
  readonly bytes: number
  readonly restMb: number
  readonly results: Record<string, Round[]>
  peakMb: number
}

interface Round extends Measurement {
  readonly storeMicros: number
  readonly logBytes: number
}

export interface ScaleLine {
  readonly engine: Engine
  readonly sessions: number
  /** Medians of the rounds; `ratio` compares each round with that on the empty store. */
  readonly client_credentials: Rates
  readonly refresh_token: Rates
  readonly rss_rest_mb: number
  readonly rss_load_mb: number
  readonly rss_after_mb: number
  /** From the start of the process to the first 200 of /health/ready. */
  readonly start_ms: number
  readonly start_cpu_ms: number
  readonly bytes_per_session: number | null
}

interface Rates {
  readonly per_second: number
  readonly ratio: number
  readonly cpu_us: number | null
  readonly store_cpu_us: number
  readonly log_bytes: number
}

export async function benchScale(options: ScaleOptions): Promise<ScaleLine[]> {
  const { sizes, rounds, load, progress } = options
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-scale-'))
  const cleanups: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  try {
    const postgres = await startDurablePostgres({ teardown: (end) => void cleanups.push(end) })
    const installations: { installation: Installation; scenarios: Scenario[] }[] = []
    for (const sessions of sizes) {
      for (const engine of ENGINES) {
        progress(`${engine}: storing ${sessions} sessions`)
        const url = engine === 'sqlite' ? undefined : await postgres.emptyDatabase()
        const opened = await openInstallation(
          engine,
          sessions,
          join(folder, `${engine}-${sessions}`),
          url,
          options,
        )
        cleanups.push(() => opened.installation.subject.stop())
        installations.push(opened)
      }
    }
    const warmup = { ...load, seconds: Math.max(2, load.seconds) }
    for (let i = 0; i <= rounds; i += 1) {
      for (const { installation, scenarios } of installations) {
        for (const scenario of scenarios) {
          const result = await measureRound(installation, scenario, i === 0 ? warmup : load)
          if (i > 0) installation.results[scenario.name]?.push(result)
          progress(
            `round ${i}/${rounds} ${installation.engine} ${installation.sessions}: ${scenario.name} ${Math.round(result.perSecond)}/s`,
          )
        }
      }
    }
    await sleep(SETTLE_MS)
    return installations.map(({ installation }) =>
      summarize(
        installation,
        installations.map((other) => other.installation),
      ),
    )
  } finally {
    for (const end of cleanups.reverse()) await end()
  }
}

async function openInstallation(
  engine: Engine,
  sessions: number,
  folder: string,
  url: string | undefined,
  { starts, progress }: ScaleOptions,
): Promise<{ installation: Installation; scenarios: Scenario[] }> {
  const root = resolve(import.meta.dirname, '..')
  const masterKey = systemRandom.bytes(32)
  const settings = {
    KEYTURN_MASTER_KEY: masterKey.toString('base64url'),
    ...(url === undefined ? {} : { KEYTURN_DATABASE_URL: url }),
  }
  const refreshing = storedSessions(REFRESHING_SESSIONS, Math.max(sessions, REFRESHING_SESSIONS))
  const name = `${engine} ${sessions}`
  const stored = await startKeyturn(name, root, folder, { settings, fill: refreshing.fill })
  await stored.stop()
  // Autovacuum would do this a minute later.
  if (url !== undefined) await run(url, 'VACUUM ANALYZE')
  const file = join(folder, 'keyturn.db')
  const settingsWithDatabase = {
    KEYTURN_PORT: '0',
    KEYTURN_DATABASE_URL: `sqlite:${file}`,
    KEYTURN_KEYS_DIR: folder,
    ...settings,
  }
  const timed: { milliseconds: number; cpu: number }[] = []
  for (let i = 0; i < starts; i += 1) {
    const { child, duration } = await timeStart(name, root, folder, settingsWithDatabase)
    timed.push(duration)
    await stop(child)
  }
  const { child, issuer, base } = await serve(name, root, folder, settingsWithDatabase)
  const bytes =
    url === undefined ? statSync(file).size : await queryNumber(url, 'pg_database_size(current_database())')
  await sleep(SETTLE_MS)
  const pid = child.pid as number
  const installation: Installation = {
    engine,
    sessions,
    subject: {
      ...stored,
      issuer,
      pid,
      tokenUrl: `${base}/oauth2/token`,
      jwksUrl: `${base}/.well-known/jwks.json`,
      stop: () => stop(child),
    },
    storeCpu: url === undefined ? () => 0 : await cpuOfPostgres(url),
    logBytesWritten: async () =>
      url === undefined
        ? bytesWrittenBy(pid)
        : queryNumber(url, `pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')`),
    start: {
      milliseconds: median(timed.map((duration) => duration.milliseconds)),
      cpu: median(timed.map((duration) => duration.cpu)),
    },
    bytes,
    restMb: rssMb(pid),
    results: { client_credentials: [], refresh_token: [] },
    peakMb: 0,
  }
  progress(
    `${name}: ${Math.round(installation.start.milliseconds)} ms to start, ${installation.restMb} MB at rest`,
  )
  return { installation, scenarios: [clientCredentials, refreshing.scenario] }
}

async function measureRound(installation: Installation, scenario: Scenario, load: Load): Promise<Round> {
  const before = { cpu: installation.storeCpu(), bytes: await installation.logBytesWritten() }
  const result = await measure(installation.subject, scenario, load)
  installation.peakMb = Math.max(installation.peakMb, rssMb(installation.subject.pid))
  return {
    ...result,
    storeMicros: ((installation.storeCpu() - before.cpu) * 1e6) / result.responses,
    logBytes: ((await installation.logBytesWritten()) - before.bytes) / result.responses,
  }
}

function summarize(installation: Installation, installations: readonly Installation[]): ScaleLine {
  const empty = installations.find((other) => other.engine === installation.engine) ?? installation
  const rates = (scenario: string): Rates => {
    const results = installation.results[scenario] ?? []
    const baseline = empty.results[scenario] ?? []
    const cpu = results.map((round) => round.cpuMicros).filter((value) => value !== null)
    const ratios = results.map((round, i) => round.perSecond / (baseline[i]?.perSecond ?? Number.NaN))
    return {
      per_second: Math.round(median(results.map((round) => round.perSecond))),
      ratio: Number(median(ratios).toFixed(3)),
      cpu_us: cpu.length === 0 ? null : Math.round(median(cpu)),
      store_cpu_us: Math.round(median(results.map((round) => round.storeMicros))),
      log_bytes: Math.round(median(results.map((round) => round.logBytes))),
    }
  }
  const extraSessions = installation.sessions - Math.max(empty.sessions, REFRESHING_SESSIONS)
  return {
    engine: installation.engine,
    sessions: installation.sessions,
    client_credentials: rates('client_credentials'),
    refresh_token: rates('refresh_token'),
    rss_rest_mb: installation.restMb,
    rss_load_mb: installation.peakMb,
    rss_after_mb: rssMb(installation.subject.pid),
    start_ms: Math.round(installation.start.milliseconds),
    start_cpu_ms: Math.round(installation.start.cpu),
    bytes_per_session:
      extraSessions > 0 ? Math.round((installation.bytes - empty.bytes) / extraSessions) : null,
  }
}

/** Bytes that a process has written to disk, in all files. */
const bytesWrittenBy = (pid: number): number =>
  Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1])

export function scaleTable(lines: readonly ScaleLine[]): string {
  const columns = [
    'engine',
    'sessions',
    'tokens/s',
    'ratio',
    'µs',
    'refreshes/s',
    'ratio',
    'µs',
    'store µs',
    'log B',
  ]
  const rates = table(
    columns,
    lines.map(({ engine, sessions, client_credentials: cc, refresh_token: refresh }) => [
      engine,
      sessions,
      cc.per_second,
      cc.ratio.toFixed(3),
      cc.cpu_us,
      refresh.per_second,
      refresh.ratio.toFixed(3),
      refresh.cpu_us,
      refresh.store_cpu_us,
      refresh.log_bytes,
    ]),
  )
  const memory = table(
    ['engine', 'sessions', 'MB at rest', 'under load', 'after', 'start ms', 'CPU ms', 'bytes per session'],
    lines.map((line) => [
      line.engine,
      line.sessions,
      line.rss_rest_mb,
      line.rss_load_mb,
      line.rss_after_mb,
      line.start_ms,
      line.start_cpu_ms,
      line.bytes_per_session ?? '',
    ]),
  )
  return `${rates}\n${memory}`
}

if (import.meta.main)
  await runBenchCommand({
    help: HELP,
    defaults: SCALE,
    run: (options, progress) => benchScale({ ...options, load: options, progress }),
    asTable: scaleTable,
  })
