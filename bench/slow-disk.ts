/**
 * `node bench/slow-disk.ts`: servers whose flushes to disk take longer. Shows that requests which write nothing do not wait for those that
 * do, and that refreshes wait together.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { table } from '../src/cli/output.ts'
import { type Progress, runBenchCommand } from './command.ts'
import { clientCredentials, jwks, type Measurement, measure } from './measure.ts'
import { median } from './report.ts'
import { startKeyturn } from './servers/keyturn.ts'
import { storedSessions } from './stored.ts'

const HELP = `node bench/slow-disk.ts [options]

  --delays <ms,…>       by how much each flush is longer (0,5,20); the first is the comparison
  --rounds <n>          rounds per server, in turn (3)
  --seconds <n>         length of a measurement; a round has four (1)
  --connections <n>     connections of each kind of request (8)
  --refreshing <n,…>    numbers of connections that refresh on the slowest disk (16,64,256)
  --json                print one JSON document
`

/** Takes about a minute and a half. */
export const SLOW_DISK = {
  delays: [0, 5, 20],
  rounds: 3,
  seconds: 1,
  connections: 8,
  refreshing: [16, 64, 256],
}
type SlowDiskOptions = typeof SLOW_DISK

/** Each connection loses a session when its round ends. */
const SESSIONS = 16_384

/** Requests of one server, alone and beside refreshes. */
interface Round {
  readonly alone: Measurement
  readonly beside: Measurement
  readonly refreshesBeside: Measurement
  readonly documents: Measurement
  readonly refreshes: Measurement
}

export interface FlushLine {
  readonly flush_ms: number
  readonly client_credentials: number
  readonly beside_refreshes: number
  readonly refreshes_beside: number
  /** Requests a second that the processor allows beside these refreshes; see {@link allowedByProcessor}. */
  readonly allowed: number
  readonly ratio: number
  readonly jwks_p50_ms: number
  readonly refreshes: number
}

export interface RefreshLine {
  readonly connections: number
  readonly flush_ms: number
  readonly refreshes: number
  /** The smaller of connections ÷ the delay of a flush, and of what the processor allows: the rate without a delay. */
  readonly possible: number
  readonly ratio: number
}

export interface SlowDiskReport {
  readonly flushes: readonly FlushLine[]
  readonly refreshes: readonly RefreshLine[]
}

/**
 * The rate of client_credentials beside refreshes, if these only took processor time from it and no waiting for the disk: the rate alone,
 * less the processor time of the refreshes at what each costs without a delay.
 */
export function allowedByProcessor(
  alone: Pick<Measurement, 'perSecond' | 'cpuMicros'>,
  refreshesBeside: number,
  refreshMicros: number | null,
): number {
  const micros = alone.cpuMicros ?? Number.NaN
  return alone.perSecond - (refreshesBeside * (refreshMicros ?? Number.NaN)) / micros
}

interface Server {
  readonly delay: number
  request(scenario: typeof clientCredentials, connections: number): Promise<Measurement>
  refresh(connections: number): Promise<Measurement>
  stop(): Promise<void>
}

async function startServer(folder: string, delay: number, seconds: number): Promise<Server> {
  const sessions = storedSessions(SESSIONS)
  const root = resolve(import.meta.dirname, '..')
  const subject = await startKeyturn(`flush + ${delay} ms`, root, join(folder, String(delay)), {
    fill: sessions.fill,
    flushDelay: delay,
  })
  const request: Server['request'] = (scenario, connections) =>
    measure(subject, scenario, { connections, seconds })
  return {
    delay,
    request,
    refresh: (connections) => request(sessions.scenario, connections),
    stop: subject.stop,
  }
}

export async function benchSlowDisk(options: SlowDiskOptions, progress: Progress): Promise<SlowDiskReport> {
  const { delays, rounds, seconds, connections, refreshing } = options
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  const servers: Server[] = []
  try {
    for (const delay of delays) servers.push(await startServer(folder, delay, seconds))
    const [first] = servers
    const last = servers.at(-1)
    if (!first || !last) throw new Error('--delays is empty')
    const results = servers.map((): Round[] => [])
    const rates = refreshing.map((): [number, number][] => [])
    for (let i = 0; i <= rounds; i += 1) {
      const what = i === 0 ? 'warm-up' : `round ${i}/${rounds}`
      for (const [n, server] of servers.entries()) {
        const round = await measureRound(server, connections)
        if (i > 0) results[n]?.push(round)
        progress(
          `${what}, flush + ${server.delay} ms: ${Math.round(round.beside.perSecond)}/s beside refreshes`,
        )
      }
      if (i === 0) continue
      for (const [n, many] of refreshing.entries()) {
        const [fast, slow] = [await first.refresh(many), await last.refresh(many)]
        rates[n]?.push([fast.perSecond, slow.perSecond])
        progress(`${what}, ${many} connections: ${Math.round(slow.perSecond)} refreshes/s`)
      }
    }
    return {
      flushes: servers.map(({ delay }, n) => flushLine(delay, results[n] ?? [], results[0] ?? [])),
      refreshes: refreshing.map((many, n) => refreshLine(many, last.delay, rates[n] ?? [])),
    }
  } finally {
    for (const server of servers) await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measureRound(server: Server, connections: number): Promise<Round> {
  const alone = await server.request(clientCredentials, connections)
  const refreshes = await server.refresh(connections)
  const [beside, refreshesBeside] = await Promise.all([
    server.request(clientCredentials, connections),
    server.refresh(connections),
  ])
  const [documents] = await Promise.all([server.request(jwks, 1), server.refresh(connections)])
  return { alone, refreshes, beside, refreshesBeside, documents }
}

function flushLine(delay: number, rounds: readonly Round[], undelayed: readonly Round[]): FlushLine {
  const allowed = rounds.map(({ alone, refreshesBeside }, i) =>
    allowedByProcessor(alone, refreshesBeside.perSecond, undelayed[i]?.refreshes.cpuMicros ?? null),
  )
  const ratios = rounds.map(({ beside }, i) => beside.perSecond / (allowed[i] ?? Number.NaN))
  const rate = (of: (round: Round) => Measurement) =>
    Math.round(median(rounds.map((round) => of(round).perSecond)))
  return {
    flush_ms: delay,
    client_credentials: rate((round) => round.alone),
    beside_refreshes: rate((round) => round.beside),
    refreshes_beside: rate((round) => round.refreshesBeside),
    allowed: Math.round(median(allowed)),
    ratio: Number(median(ratios).toFixed(2)),
    jwks_p50_ms: median(rounds.map((round) => round.documents.p50)),
    refreshes: rate((round) => round.refreshes),
  }
}

function refreshLine(
  connections: number,
  delay: number,
  rates: readonly (readonly [number, number])[],
): RefreshLine {
  const inFlushes = (connections * 1000) / delay
  return {
    connections,
    flush_ms: delay,
    refreshes: Math.round(median(rates.map(([, slow]) => slow))),
    possible: Math.round(Math.min(inFlushes, median(rates.map(([fast]) => fast)))),
    ratio: Number(median(rates.map(([fast, slow]) => slow / Math.min(inFlushes, fast))).toFixed(2)),
  }
}

export function slowDiskTable({ flushes, refreshes }: SlowDiskReport): string {
  const beside = table(
    [
      'flush, ms',
      'client_credentials/s alone',
      'beside refreshes',
      'refreshes beside',
      'CPU allows',
      'ratio',
      'JWKS p50 ms beside',
      'refreshes/s alone',
    ],
    flushes.map((line) => [
      `+ ${line.flush_ms}`,
      line.client_credentials,
      line.beside_refreshes,
      line.refreshes_beside,
      line.allowed,
      line.ratio.toFixed(2),
      line.jwks_p50_ms,
      line.refreshes,
    ]),
  )
  const alone = table(
    ['connections', 'flush, ms', 'refreshes/s', 'possible', 'ratio'],
    refreshes.map((line) => [
      line.connections,
      `+ ${line.flush_ms}`,
      line.refreshes,
      line.possible,
      line.ratio.toFixed(2),
    ]),
  )
  return `${beside}\n${alone}`
}

if (import.meta.main)
  await runBenchCommand({ help: HELP, defaults: SLOW_DISK, run: benchSlowDisk, asTable: slowDiskTable })
