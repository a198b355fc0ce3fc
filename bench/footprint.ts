/**
 * `node bench/footprint.ts`: how soon servers answer after their start, what they use when no one asks, and their memory under load.
 * bench/scale.ts shows that this does not grow with the store.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { table } from '../src/cli/output.ts'
import { systemRandom } from '../src/system.ts'
import { type Progress, runBenchCommand } from './command.ts'
import { clientCredentials, measure, refresh, type Scenario } from './measure.ts'
import { median } from './report.ts'
import { startIdle, startOidcProvider } from './servers/index.ts'
import { startKeyturn, timeStart } from './servers/keyturn.ts'
import { cpuOfPostgres, startDurablePostgres } from './servers/postgres.ts'
import { storedSessions } from './stored.ts'
import { type Subject, stop } from './subject.ts'
import { cpuSeconds, rssMb } from './usage.ts'

const HELP = `node bench/footprint.ts [options]

  --starts <n>        measured starts per server (5)
  --settle <n>        seconds between a start and the measurements at rest (5)
  --idle <n>          seconds in which the processor time at rest is measured (60)
  --seconds <n>       length of the load: client_credentials and then refreshes, each (4)
  --connections <n>   concurrent requests (16)
  --json              print one JSON document
`

const SESSIONS = 256

/** Takes about two minutes. */
export const FOOTPRINT = { starts: 5, settle: 5, idle: 60, seconds: 4, connections: 16 }

interface Starts {
  /** From the start of the process to the first response. */
  readonly start_ms: number
  /** The same with an empty store, for which keys are generated; null for programs without one. */
  readonly new_store_ms: number | null
}

interface LoadedMemory {
  readonly load_mb: number | null
  readonly after_mb: number | null
}

interface Idle {
  /** Processor time at rest, in percent of one processor. */
  readonly idle_percent: number
  /** That of the database server. */
  readonly idle_store_percent: number | null
}

export interface FootprintLine extends Starts, LoadedMemory, Idle {
  readonly name: string
  readonly rest_mb: number
}

type Running = Pick<Subject, 'name' | 'pid' | 'stop'> & Partial<Subject>

interface Program {
  readonly name: string
  /** Its load. */
  readonly scenarios: readonly Scenario[]
  /** Milliseconds to the first response. */
  timeStart(): Promise<number>
  timeNewStart?(): Promise<number>
  run(): Promise<Running>
  /** Processor seconds of the database server. */
  readonly storeCpu?: () => number
}

export async function benchFootprint(
  options: typeof FOOTPRINT,
  progress: Progress,
): Promise<FootprintLine[]> {
  const { starts, settle, idle } = options
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  const cleanups: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  const owner = { teardown: (end: () => unknown) => void cleanups.push(end) }
  try {
    const postgres = await startDurablePostgres(owner)
    const url = await postgres.emptyDatabase()
    const programs: Program[] = [
      keyturn('Keyturn, SQLite', join(folder, 'sqlite')),
      {
        ...keyturn('Keyturn, PostgreSQL', join(folder, 'postgres'), url, () => postgres.emptyDatabase()),
        storeCpu: await cpuOfPostgres(url),
      },
      other('oidc-provider', startOidcProvider, [clientCredentials, refresh]),
      other('a Node.js that does nothing', startIdle, []),
    ]
    const running: Running[] = []
    for (const program of programs) {
      const server = await program.run()
      owner.teardown(server.stop)
      running.push(server)
    }
    await sleep(settle * 1000)
    const rest = running.map(({ pid }) => rssMb(pid))
    progress(`idle for ${idle} s`)
    const percent = await idlePercents(running, programs, idle)
    const loaded: LoadedMemory[] = []
    for (const [i, server] of running.entries()) {
      loaded.push(await measureMemory(server, programs[i]?.scenarios ?? [], options, progress))
      await server.stop()
    }
    // After all servers have ended, which would slow the starts down.
    const started = await measureStarts(programs, starts, progress)
    return programs.map(({ name }, i) => ({
      name,
      rest_mb: rest[i] ?? Number.NaN,
      ...(started[i] as Starts),
      ...(loaded[i] as LoadedMemory),
      ...(percent[i] as Idle),
    }))
  } finally {
    for (const end of cleanups.reverse()) await end()
  }
}

/** @param newDatabase the URL of an empty database; absent for SQLite, which creates one */
function keyturn(
  name: string,
  folder: string,
  url?: string,
  newDatabase: () => Promise<string | undefined> = async () => undefined,
): Program {
  const root = resolve(import.meta.dirname, '..')
  const masterKey = systemRandom.bytes(32).toString('base64url')
  const settings = (file: string, databaseUrl = `sqlite:${file}/keyturn.db`) => ({
    KEYTURN_PORT: '0',
    KEYTURN_MASTER_KEY: masterKey,
    KEYTURN_KEYS_DIR: file,
    KEYTURN_DATABASE_URL: databaseUrl,
  })
  const timed = async (values: Readonly<Record<string, string>>) => {
    const { child, duration } = await timeStart(name, root, folder, values)
    await stop(child)
    return duration.milliseconds
  }
  // Not signed in with passwords, whose hashes need memory of their own.
  const sessions = storedSessions(SESSIONS)
  return {
    name,
    scenarios: [clientCredentials, sessions.scenario],
    run: () => startKeyturn(name, root, folder, { settings: settings(folder, url), fill: sessions.fill }),
    timeStart: () => timed(settings(folder, url)),
    async timeNewStart() {
      const empty = mkdtempSync(join(folder, 'new-'))
      return timed(settings(empty, await newDatabase()))
    },
  }
}

function other(name: string, start: () => Promise<Running>, scenarios: readonly Scenario[]): Program {
  return {
    name,
    scenarios,
    run: start,
    async timeStart() {
      const from = performance.now()
      const server = await start()
      if (server.jwksUrl) await fetch(server.jwksUrl)
      const milliseconds = performance.now() - from
      await server.stop()
      return milliseconds
    },
  }
}

async function idlePercents(
  running: readonly Running[],
  programs: readonly Program[],
  seconds: number,
): Promise<Idle[]> {
  const read = () =>
    running.map(({ pid }, i) => ({
      own: cpuSeconds(pid) ?? Number.NaN,
      store: programs[i]?.storeCpu?.() ?? null,
    }))
  const before = read()
  await sleep(seconds * 1000)
  const percent = (used: number) => Number(((used * 100) / seconds).toFixed(2))
  return read().map(({ own, store }, i) => {
    const earlier = before[i]
    return {
      idle_percent: percent(own - (earlier?.own ?? Number.NaN)),
      idle_store_percent: store === null ? null : percent(store - (earlier?.store ?? Number.NaN)),
    }
  })
}

async function measureMemory(
  server: Running,
  scenarios: readonly Scenario[],
  { seconds, connections, settle }: typeof FOOTPRINT,
  progress: Progress,
): Promise<LoadedMemory> {
  if (!isSubject(server)) return { load_mb: null, after_mb: null }
  let peak = 0
  for (const scenario of scenarios) {
    const { perSecond } = await measure(server, scenario, { connections, seconds })
    peak = Math.max(peak, rssMb(server.pid))
    progress(`${server.name}: ${scenario.name} ${Math.round(perSecond)}/s, ${peak} MB`)
  }
  await sleep(settle * 1000)
  return { load_mb: peak, after_mb: rssMb(server.pid) }
}

const isSubject = (server: Running): server is Subject => server.tokenUrl !== undefined

async function measureStarts(
  programs: readonly Program[],
  starts: number,
  progress: Progress,
): Promise<Starts[]> {
  const own = programs.map((): number[] => [])
  const empty = programs.map((): number[] => [])
  for (let i = 1; i <= starts; i += 1) {
    progress(`start ${i}/${starts}`)
    for (const [n, program] of programs.entries()) {
      own[n]?.push(await program.timeStart())
      if (program.timeNewStart) empty[n]?.push(await program.timeNewStart())
    }
  }
  return programs.map((_, n) => ({
    start_ms: Math.round(median(own[n] ?? [])),
    new_store_ms: empty[n]?.length ? Math.round(median(empty[n])) : null,
  }))
}

export function footprintTable(lines: readonly FootprintLine[]): string {
  const least = lines.at(-1)
  return table(
    [
      '',
      'start ms',
      'new store ms',
      'MB at rest',
      '× Node.js',
      'under load',
      'after',
      'idle CPU %',
      'its store %',
    ],
    lines.map((line) => [
      line.name,
      line.start_ms,
      line.new_store_ms ?? '',
      line.rest_mb,
      line === least ? '' : (line.rest_mb / (least?.rest_mb ?? Number.NaN)).toFixed(2),
      line.load_mb ?? '',
      line.after_mb ?? '',
      line.idle_percent.toFixed(2),
      line.idle_store_percent?.toFixed(2) ?? '',
    ]),
  )
}

if (import.meta.main)
  await runBenchCommand({ help: HELP, defaults: FOOTPRINT, run: benchFootprint, asTable: footprintTable })
