/**
 * Tokens a second, memory and start-up with 0, 100,000 and 1,000,000 sessions stored, on SQLite and on PostgreSQL: does
 * anything grow with the store that should not? Each store has a server of its own, and the rounds take turns.
 */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { table } from '../src/cli/output.ts'
import { systemRandom } from '../src/system.ts'
import { createRefreshTokenCodec } from '../src/tokens/refresh-token.ts'
import { run } from '../test/support/postgres/databases.ts'
import { startPostgres } from '../test/support/postgres/postgres.ts'
import { cpuSeconds } from './cpu.ts'
import { clientCredentials, type Load, type Measurement, measure, type Scenario } from './measure.ts'
import { median } from './report.ts'
import { serve, startKeyturn } from './servers/keyturn.ts'
import { storeSessions } from './stored.ts'
import { type Subject, stop } from './subject.ts'

const HELP = `node bench/scale.ts [options]

  --sizes <n,n,…>     sessions stored (0,100000,1000000)
  --rounds <n>        rounds of each server, in turn (7)
  --seconds <n>       length of a round (1.5)
  --connections <n>   requests in flight (16)
  --starts <n>        starts that are timed, each (5)
  --json              one JSON document on stdout
`

/** Sessions that refresh, each in its turn: they lie anywhere in the store. In the empty store they are all there is. */
const REFRESHING = 1024
const SETTLE_MS = 4000
const ENGINES = ['sqlite', 'postgres'] as const
type Engine = (typeof ENGINES)[number]

/** What takes about five minutes on two quiet cores, most of it storing sessions. */
export const SCALE = { sizes: [0, 100_000, 1_000_000], rounds: 7, seconds: 1.5, connections: 16, starts: 5 }

export interface ScaleOptions {
  readonly sizes: readonly number[]
  readonly rounds: number
  readonly load: Load
  readonly starts: number
  readonly progress: (line: string) => void
}

interface Place {
  readonly engine: Engine
  readonly sessions: number
  readonly subject: Subject
  /** Of the store's own process or processes; SQLite has none. */
  readonly storeCpu: () => number
  /** Bytes that the store has written ahead to its log so far. */
  readonly written: () => Promise<number>
  readonly start: { readonly milliseconds: number; readonly cpu: number }
  readonly bytes: number
  readonly rest: number
  readonly results: Record<string, Round[]>
  peak: number
}

interface Round extends Measurement {
  readonly storeMicros: number
  readonly logBytes: number
}

export interface ScaleLine {
  readonly engine: Engine
  readonly sessions: number
  /** Medians; `ratio`: to the same round on the store without sessions. */
  readonly client_credentials: Rates
  readonly refresh_token: Rates
  readonly rss_rest_mb: number
  readonly rss_load_mb: number
  readonly rss_after_mb: number
  /** From the spawning of the process to the first 200 of /health/ready. */
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

/** Uses the subject's tokens one after the other, and puts what each gave behind the others. */
function refreshEverywhere(tokens: string[]): Scenario {
  return {
    name: 'refresh_token',
    prepare: async () => (client) =>
      client.setRequests([
        {
          setupRequest: (request) => ({
            ...request,
            body: `grant_type=refresh_token&refresh_token=${tokens.shift()}`,
          }),
          onResponse: (_status, body) => {
            const token = /"refresh_token":"([^"]+)"/.exec(body)?.[1]
            if (token) tokens.push(token)
          },
        },
      ]),
  }
}

export async function benchScale(options: ScaleOptions): Promise<ScaleLine[]> {
  const { sizes, rounds, load, progress } = options
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-scale-'))
  const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  try {
    const postgres = await startPostgres(
      { teardown: (end) => void ends.push(end) },
      {
        // As it is without anybody's settings; the tests' own would be faster and keep less.
        settings: {
          fsync: 'on',
          full_page_writes: 'on',
          autovacuum: 'on',
          shared_buffers: '128MB',
          max_connections: '100',
        },
      },
    )
    const places: { place: Place; scenarios: Scenario[] }[] = []
    for (const sessions of sizes) {
      for (const engine of ENGINES) {
        progress(`${engine}: storing ${sessions} sessions`)
        const url = engine === 'sqlite' ? undefined : await postgres.emptyDatabase()
        const opened = await openPlace(engine, sessions, join(folder, `${engine}-${sessions}`), url, options)
        ends.push(() => opened.place.subject.stop())
        places.push(opened)
      }
    }
    const warm = { ...load, seconds: Math.max(2, load.seconds) }
    for (let i = 0; i <= rounds; i += 1) {
      for (const { place, scenarios } of places) {
        for (const scenario of scenarios) {
          const result = await once(place, scenario, i === 0 ? warm : load)
          if (i > 0) place.results[scenario.name]?.push(result)
          progress(
            `round ${i}/${rounds} ${place.engine} ${place.sessions}: ${scenario.name} ${Math.round(result.perSecond)}/s`,
          )
        }
      }
    }
    await sleep(SETTLE_MS)
    return places.map(({ place }) =>
      line(
        place,
        places.map((other) => other.place),
      ),
    )
  } finally {
    for (const end of ends.reverse()) await end()
  }
}

async function openPlace(
  engine: Engine,
  sessions: number,
  folder: string,
  url: string | undefined,
  { starts, progress }: ScaleOptions,
): Promise<{ place: Place; scenarios: Scenario[] }> {
  const root = resolve(import.meta.dirname, '..')
  const masterKey = systemRandom.bytes(32)
  const settings = {
    KEYTURN_MASTER_KEY: masterKey.toString('base64url'),
    ...(url === undefined ? {} : { KEYTURN_DATABASE_URL: url }),
  }
  const tokens: string[] = []
  const name = `${engine} ${sessions}`
  const stored = await startKeyturn(name, root, folder, {
    settings,
    fill: async ({ store, clock }, { dataKeys }) => {
      const ids = await storeSessions(store, clock.now(), Math.max(sessions, REFRESHING), REFRESHING)
      const codec = createRefreshTokenCodec(dataKeys)
      tokens.push(...ids.map((clientSessionId) => codec.write({ clientSessionId, generation: 1 })))
    },
  })
  await stored.stop()
  // What autovacuum would do a minute later.
  if (url !== undefined) await run(url, 'VACUUM ANALYZE')
  const file = join(folder, 'keyturn.db')
  const all = {
    KEYTURN_PORT: '0',
    KEYTURN_DATABASE_URL: `sqlite:${file}`,
    KEYTURN_KEYS_DIR: folder,
    ...settings,
  }
  const timed: { milliseconds: number; cpu: number }[] = []
  for (let i = 0; i < starts; i += 1) {
    const { child, took } = await timeStart(name, root, folder, all)
    timed.push(took)
    await stop(child)
  }
  const { child, issuer, base } = await serve(name, root, folder, all)
  const bytes =
    url === undefined ? statSync(file).size : await number(url, 'pg_database_size(current_database())')
  await sleep(SETTLE_MS)
  const pid = child.pid as number
  const place: Place = {
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
    written: async () =>
      url === undefined ? writtenBy(pid) : number(url, `pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')`),
    start: {
      milliseconds: median(timed.map((took) => took.milliseconds)),
      cpu: median(timed.map((took) => took.cpu)),
    },
    bytes,
    rest: rssMb(pid),
    results: { client_credentials: [], refresh_token: [] },
    peak: 0,
  }
  progress(`${name}: ${Math.round(place.start.milliseconds)} ms to start, ${place.rest} MB at rest`)
  return { place, scenarios: [clientCredentials, refreshEverywhere(tokens)] }
}

async function timeStart(name: string, root: string, folder: string, settings: Record<string, string>) {
  const began = performance.now()
  const { child, base } = await serve(name, root, folder, settings)
  while (!(await fetch(`${base}/health/ready`)).ok);
  const milliseconds = performance.now() - began
  return { child, took: { milliseconds, cpu: (cpuSeconds(child.pid as number) ?? Number.NaN) * 1000 } }
}

async function once(place: Place, scenario: Scenario, load: Load): Promise<Round> {
  const before = { cpu: place.storeCpu(), bytes: await place.written() }
  const result = await measure(place.subject, scenario, load)
  place.peak = Math.max(place.peak, rssMb(place.subject.pid))
  return {
    ...result,
    storeMicros: ((place.storeCpu() - before.cpu) * 1e6) / result.answers,
    logBytes: ((await place.written()) - before.bytes) / result.answers,
  }
}

function line(place: Place, places: readonly Place[]): ScaleLine {
  const empty = places.find((other) => other.engine === place.engine) ?? place
  const rates = (scenario: string): Rates => {
    const own = place.results[scenario] ?? []
    const others = empty.results[scenario] ?? []
    const cpu = own.map((round) => round.cpuMicros).filter((value) => value !== null)
    const ratios = own.map((round, i) => round.perSecond / (others[i]?.perSecond ?? Number.NaN))
    return {
      per_second: Math.round(median(own.map((round) => round.perSecond))),
      ratio: Number(median(ratios).toFixed(3)),
      cpu_us: cpu.length === 0 ? null : Math.round(median(cpu)),
      store_cpu_us: Math.round(median(own.map((round) => round.storeMicros))),
      log_bytes: Math.round(median(own.map((round) => round.logBytes))),
    }
  }
  const more = place.sessions - Math.max(empty.sessions, REFRESHING)
  return {
    engine: place.engine,
    sessions: place.sessions,
    client_credentials: rates('client_credentials'),
    refresh_token: rates('refresh_token'),
    rss_rest_mb: place.rest,
    rss_load_mb: place.peak,
    rss_after_mb: rssMb(place.subject.pid),
    start_ms: Math.round(place.start.milliseconds),
    start_cpu_ms: Math.round(place.start.cpu),
    bytes_per_session: more > 0 ? Math.round((place.bytes - empty.bytes) / more) : null,
  }
}

async function number(url: string, expression: string): Promise<number> {
  const { rows } = await run(url, `SELECT ${expression} AS value`)
  return Number(rows[0]?.value)
}

/** Processor time of the server and all its processes, those that have ended included. */
async function cpuOfPostgres(url: string): Promise<() => number> {
  const backend = await number(url, 'pg_backend_pid()')
  const server = Number(
    readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')
      .split(' ')
      .find((pid) => childrenOf(Number(pid)).length > 3 && backend > Number(pid)),
  )
  return () => {
    const fields = statFields(server)
    const ended = (Number(fields[13]) + Number(fields[14])) / 100
    return childrenOf(server).reduce(
      (sum, pid) => sum + (cpuSeconds(pid) ?? 0),
      (cpuSeconds(server) ?? 0) + ended,
    )
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number)
  } catch {
    return []
  }
}

function statFields(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** What a process gave to the disk to write, whichever file it was. */
const writtenBy = (pid: number): number =>
  Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1])

const rssMb = (pid: number): number =>
  Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024)

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
    ['engine', 'sessions', 'MB at rest', 'under load', 'after', 'start ms', 'CPU ms', 'bytes a session'],
    lines.map((one) => [
      one.engine,
      one.sessions,
      one.rss_rest_mb,
      one.rss_load_mb,
      one.rss_after_mb,
      one.start_ms,
      one.start_cpu_ms,
      one.bytes_per_session ?? '',
    ]),
  )
  return `${rates}\n${memory}`
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sizes: { type: 'string', default: String(SCALE.sizes) },
      rounds: { type: 'string', default: String(SCALE.rounds) },
      seconds: { type: 'string', default: String(SCALE.seconds) },
      connections: { type: 'string', default: String(SCALE.connections) },
      starts: { type: 'string', default: String(SCALE.starts) },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return void process.stdout.write(HELP)
  const lines = await benchScale({
    sizes: values.sizes.split(',').map(Number),
    rounds: Number(values.rounds),
    load: { connections: Number(values.connections), seconds: Number(values.seconds) },
    starts: Number(values.starts),
    progress: (text) => void (values.json || process.stderr.write(`${text}\n`)),
  })
  const machine = { node: process.version, cpu: cpus()[0]?.model.trim(), cores: availableParallelism() }
  process.stdout.write(values.json ? `${JSON.stringify({ machine, lines })}\n` : `\n${scaleTable(lines)}`)
}

if (import.meta.main) await main()
