/**
 * `node bench/flood.ts`: how long a token takes while nobody signs in, and while many do. Tokens are requested at a fixed rate, and
 * their time counts from the moment at which they should have been sent. Beside it, how many hashes this machine computes on all
 * processors when nothing else runs.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request as send } from 'node:http'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { median } from './report.ts'
import { startKeyturn } from './servers/keyturn.ts'
import { measureHashing, quantile } from './sign-in.ts'
import { basic, SCOPE, type Subject } from './subject.ts'

const HELP = `node bench/flood.ts [options]

  --rounds <n>        rounds per server, in turn: hashes alone, tokens alone, tokens during sign-ins (5)
  --seconds <n>       length of each part of a round (4)
  --rate <n>          tokens requested per second (100)
  --sign-ins <n>      users who sign in at the same time (12)
  --against <folder>  another checkout of Keyturn to compare with
  --json              print one JSON document
`

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    rate: { type: 'string', default: '100' },
    'sign-ins': { type: 'string', default: '12' },
    against: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

interface Latencies {
  readonly p50: number
  readonly p99: number
}

interface Round {
  readonly idle: Latencies
  readonly flood: Latencies
  readonly signInsPerSecond: number
}

if (options.help) process.stdout.write(HELP)
else await main()

async function main(): Promise<void> {
  const [rounds, seconds, rate] = [options.rounds, options.seconds, options.rate].map(Number)
  const load = { rounds: rounds ?? 0, seconds: seconds ?? 0, rate: rate ?? 0 }
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  const subjects: Subject[] = []
  try {
    const root = resolve(import.meta.dirname, '..')
    subjects.push(await startKeyturn('Keyturn', root, join(folder, 'keyturn')))
    if (options.against) {
      subjects.push(await startKeyturn('Keyturn (other)', resolve(options.against), join(folder, 'other')))
    }
    const results = new Map<string, Round[]>(subjects.map(({ name }) => [name, []]))
    const hashing: number[] = []
    for (const subject of subjects) await measureRound(subject, load)
    for (let i = 0; i < load.rounds; i += 1) {
      hashing.push((await measureHashing(load.seconds / 2, availableParallelism())).perSecond)
      for (const subject of subjects) results.get(subject.name)?.push(await measureRound(subject, load))
    }
    print(results, median(hashing))
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
}

interface FloodLoad {
  readonly seconds: number
  readonly rate: number
}

async function measureRound(subject: Subject, load: FloodLoad): Promise<Round> {
  const idle = await measureTokens(subject, load)
  const flood = await startSignIns(subject, Number(options['sign-ins']))
  // The first sign-ins start threads and compile code.
  await sleep(500)
  const before = flood.count()
  const start = performance.now()
  const during = await measureTokens(subject, load)
  const signInsPerSecond = ((flood.count() - before) * 1000) / (performance.now() - start)
  await flood.stop()
  return { idle, flood: during, signInsPerSecond }
}

async function measureTokens(subject: Subject, { seconds, rate }: FloodLoad): Promise<Latencies> {
  const agent = new Agent({ keepAlive: true })
  const start = performance.now()
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
  return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }
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
async function startSignIns({ stop: _, refreshTokens: __, ...subject }: Subject, users: number) {
  const worker = new Worker(new URL('./flood-worker.ts', import.meta.url), { workerData: { subject, users } })
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

function print(results: ReadonlyMap<string, readonly Round[]>, hashesPerSecond: number): void {
  const lines = [...results].map(([name, rounds]) => {
    const of = (value: (round: Round) => number) => median(rounds.map(value))
    return {
      name,
      sign_ins_per_second: round(of((one) => one.signInsPerSecond)),
      sign_ins_per_hash: round(of((one) => one.signInsPerSecond) / hashesPerSecond, 2),
      idle_p50: round(of(({ idle }) => idle.p50)),
      idle_p99: round(of(({ idle }) => idle.p99)),
      flood_p50: round(of(({ flood }) => flood.p50)),
      flood_p99: round(of(({ flood }) => flood.p99)),
      // Of each round, so that a slower machine affects both.
      p99_ratio: round(
        of(({ idle, flood }) => flood.p99 / idle.p99),
        2,
      ),
    }
  })
  const hashes = { processors: availableParallelism(), hashes_per_second: round(hashesPerSecond) }
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ ...hashes, lines })}\n`)
    return
  }
  process.stdout.write(
    `argon2 on all ${hashes.processors} processors: ${hashes.hashes_per_second} hashes a second\n\n`,
  )
  for (const { name, ...line } of lines) {
    const values = Object.entries(line).map(([key, value]) => `  ${key.padEnd(22)}${value}`)
    process.stdout.write(`${name}\n${values.join('\n')}\n`)
  }
}

function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits))
}
