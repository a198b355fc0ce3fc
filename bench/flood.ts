/**
 * `node bench/flood.ts`: how long a token takes while nobody signs in, and while many do. Tokens are requested at a fixed rate, and
 * their time counts from the moment at which they should have been sent. Then once more while users who have a session get as many codes
 * and tokens: that is a sign-in without login page, password and new session, so hashing is at most the difference. Beside it, how many
 * hashes this machine computes on all processors when nothing else runs.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request as send } from 'node:http'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { table } from '../src/cli/output.ts'
import { type Progress, runBenchCommand } from './command.ts'
import type { Flood } from './flood-worker.ts'
import { median } from './report.ts'
import { startKeyturn } from './servers/keyturn.ts'
import { measureHashing, quantile } from './sign-in.ts'
import { basic, SCOPE, type Subject } from './subject.ts'
import { stolenSeconds } from './usage.ts'

const HELP = `node bench/flood.ts [options]

  --rounds <n>        rounds per server, in turn: hashes alone, tokens alone, during sign-ins, without passwords (5)
  --seconds <n>       length of each part of a round (4)
  --rate <n>          tokens requested per second (100)
  --sign-ins <n>      users who sign in at the same time (12)
  --max-stolen <n>    percent of the processors that a hypervisor may give to others during a part; else the round is repeated (2)
  --rest <n>          seconds of rest before each round, for machines that are slowed down after a while of work (0)
  --against <folder>  another checkout of Keyturn to compare with
  --json              print one JSON document
`

/** Takes about a minute and a half, and up to five on a machine whose hypervisor gives its processors to others. */
export const FLOOD = {
  rounds: 5,
  seconds: 4,
  rate: 100,
  'sign-ins': 12,
  'max-stolen': 2,
  rest: 0,
  against: '',
}
type FloodOptions = typeof FLOOD

/** How many rounds there are at most, for each that is asked for. */
const MAX_ATTEMPTS = 4

interface Latencies {
  readonly p50: number
  readonly p99: number
  /** Percent of the processors. A token waits for as long as its processor is taken away, so such latencies say nothing of the server. */
  readonly stolen: number
}

interface Round {
  readonly idle: Latencies
  readonly flood: Latencies
  /** While as many codes are given to users who have a session. */
  readonly withoutPasswords: Latencies
  readonly signInsPerSecond: number
  readonly codesPerSecond: number
  /** Of the part in which most was stolen. */
  readonly stolen: number
}

export interface FloodReport {
  /** On all processors, when nothing else runs. */
  readonly hashes_per_second: number
  readonly lines: readonly FloodLine[]
}

/** Medians of the rounds. Times are in milliseconds. */
interface FloodLine {
  readonly name: string
  /** Medians are of these. If there is none, they are of all rounds. */
  readonly quiet_rounds: number
  readonly sign_ins_per_second: number
  readonly sign_ins_per_hash: number
  readonly idle_p50: number
  readonly idle_p99: number
  readonly flood_p50: number
  readonly flood_p99: number
  readonly p99_ratio: number
  readonly codes_per_second: number
  readonly without_passwords_p99: number
  readonly without_passwords_p99_ratio: number
}

export async function benchFlood(options: FloodOptions, progress: Progress): Promise<FloodReport> {
  const { rounds, seconds, against } = options
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  const subjects: Subject[] = []
  try {
    const root = resolve(import.meta.dirname, '..')
    subjects.push(await startKeyturn('Keyturn', root, join(folder, 'keyturn')))
    if (against) subjects.push(await startKeyturn('Keyturn (other)', resolve(against), join(folder, 'other')))
    const results = subjects.map((): Round[] => [])
    const hashing: number[] = []
    const quiet = (measured: readonly Round[]) =>
      measured.filter(({ stolen }) => stolen <= options['max-stolen'])
    const isDone = () => results.every((measured) => quiet(measured).length >= rounds)
    for (let i = 0; i <= rounds * MAX_ATTEMPTS && !isDone(); i += 1) {
      if (i > 0) hashing.push((await measureHashing(seconds / 2, availableParallelism())).perSecond)
      for (const [n, subject] of subjects.entries()) {
        await sleep(options.rest * 1000)
        const measured = await measureRound(subject, options)
        progress(
          `${i === 0 ? 'warm-up' : `round ${i}`}, ${subject.name}: ${Math.round(measured.signInsPerSecond)} sign-ins/s, ${round(measured.stolen)} % stolen`,
        )
        if (i > 0) results[n]?.push(measured)
      }
    }
    const hashesPerSecond = median(hashing)
    return {
      hashes_per_second: round(hashesPerSecond),
      lines: subjects.map(({ name }, n) => {
        const measured = results[n] ?? []
        const used = quiet(measured)
        return floodLine(name, used.length, used.length > 0 ? used : measured, hashesPerSecond)
      }),
    }
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measureRound(subject: Subject, options: FloodOptions): Promise<Round> {
  const idle = await measureTokens(subject, options)
  const users = options['sign-ins']
  const flood = await startFlood({ subject, users, codesPerSecond: undefined })
  // The first sign-ins start threads and compile code.
  await sleep(500)
  const before = flood.count()
  const start = performance.now()
  const during = await measureTokens(subject, options)
  const signInsPerSecond = ((flood.count() - before) * 1000) / (performance.now() - start)
  await flood.stop()
  const codes = await startFlood({ subject, users, codesPerSecond: Math.max(1, signInsPerSecond) })
  const [codesBefore, codesStart] = [codes.count(), performance.now()]
  const withoutPasswords = await measureTokens(subject, options)
  const codesPerSecond = ((codes.count() - codesBefore) * 1000) / (performance.now() - codesStart)
  await codes.stop()
  const stolen = Math.max(idle.stolen, during.stolen, withoutPasswords.stolen)
  return { idle, flood: during, withoutPasswords, signInsPerSecond, codesPerSecond, stolen }
}

async function measureTokens(subject: Subject, { seconds, rate }: FloodOptions): Promise<Latencies> {
  const agent = new Agent({ keepAlive: true })
  const [start, stolenBefore] = [performance.now(), stolenSeconds()]
  const pending: Promise<number>[] = []
  for (let i = 0; i < seconds * rate; i += 1) {
    const due = start + (i * 1000) / rate
    await sleep(Math.max(0, due - performance.now()))
    // A timer has whole milliseconds. If it was late by more, this process had no processor, and that counts.
    const from = Math.max(due, performance.now() - 1)
    pending.push(requestToken(subject, agent).then(() => performance.now() - from))
  }
  const latencies = await Promise.all(pending)
  agent.destroy()
  const available = (availableParallelism() * (performance.now() - start)) / 1000
  const stolen = (100 * (stolenSeconds() - stolenBefore)) / available
  return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), stolen }
}

async function requestToken({ tokenUrl, secret }: Subject, agent: Agent): Promise<void> {
  const request = send(tokenUrl, {
    agent,
    method: 'POST',
    headers: { authorization: basic(secret), 'content-type': 'application/x-www-form-urlencoded' },
  })
  request.end(new URLSearchParams({ grant_type: 'client_credentials', scope: SCOPE }).toString())
  const [response] = await once(request, 'response')
  response.resume()
  await once(response, 'end')
  if (response.statusCode !== 200) throw new Error(`${tokenUrl} answered ${response.statusCode}`)
}

/** Users sign in on a thread of its own, so that the time of a token does not contain the work of the browsers. */
async function startFlood(flood: Flood) {
  const { stop: _, refreshTokens: __, ...subject } = flood.subject
  const worker = new Worker(new URL('./flood-worker.ts', import.meta.url), {
    workerData: { ...flood, subject },
  })
  let count = 0
  const failed = once(worker, 'error').then(([error]) => {
    throw error
  })
  failed.catch(() => {})
  worker.on('message', () => {
    count += 1
  })
  await Promise.race([once(worker, 'message'), failed])
  return {
    count: () => count,
    async stop() {
      const ended = once(worker, 'exit')
      worker.postMessage('stop')
      await Promise.race([ended, failed])
    },
  }
}

function floodLine(
  name: string,
  quietRounds: number,
  rounds: readonly Round[],
  hashesPerSecond: number,
): FloodLine {
  const of = (value: (measured: Round) => number) => median(rounds.map(value))
  const signIns = of(({ signInsPerSecond }) => signInsPerSecond)
  // Of each round, so that a slower machine affects both.
  const ratio = of(({ idle, flood }) => flood.p99 / idle.p99)
  const ratioWithoutPasswords = of(({ idle, withoutPasswords }) => withoutPasswords.p99 / idle.p99)
  return {
    name,
    quiet_rounds: quietRounds,
    sign_ins_per_second: round(signIns),
    sign_ins_per_hash: round(signIns / hashesPerSecond, 2),
    idle_p50: round(of(({ idle }) => idle.p50)),
    idle_p99: round(of(({ idle }) => idle.p99)),
    flood_p50: round(of(({ flood }) => flood.p50)),
    flood_p99: round(of(({ flood }) => flood.p99)),
    p99_ratio: round(ratio, 2),
    codes_per_second: round(of(({ codesPerSecond }) => codesPerSecond)),
    without_passwords_p99: round(of(({ withoutPasswords }) => withoutPasswords.p99)),
    without_passwords_p99_ratio: round(ratioWithoutPasswords, 2),
  }
}

const round = (value: number, digits = 1): number => Number(value.toFixed(digits))

export function floodTable({ hashes_per_second: hashesPerSecond, lines }: FloodReport): string {
  const columns = [
    '',
    'quiet rounds',
    'sign-ins/s',
    'per hash',
    'token p50 ms',
    'p99',
    'during sign-ins p50',
    'p99',
    'p99 ratio',
    'codes/s without passwords',
    'p99',
    'p99 ratio',
  ]
  const rows = table(
    columns,
    lines.map((line) => Object.values(line)),
  )
  return `${rows}argon2 alone on all processors: ${hashesPerSecond} hashes/s\n`
}

if (import.meta.main)
  await runBenchCommand({ help: HELP, defaults: FLOOD, run: benchFlood, asTable: floodTable })
