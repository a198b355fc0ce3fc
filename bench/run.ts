/**
 * `npm run bench`: compares Keyturn with oidc-provider and with a bare route that only signs. Each server is a separate process,
 * and this process generates the load. The servers take turns in each round, so that a slower machine affects all of them.
 * Then runs bench/algorithms.ts, bench/verify.ts and bench/scale.ts.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type AlgorithmsReport, algorithmsTable, benchAlgorithms } from './algorithms.ts'
import { clientCredentials, type Load, type Measurement, measure, refresh } from './measure.ts'
import { asTable, report, type ScenarioReport } from './report.ts'
import { benchScale, SCALE, type ScaleLine, scaleTable } from './scale.ts'
import { startBare, startOidcProvider } from './servers/index.ts'
import { startKeyturn } from './servers/keyturn.ts'
import {
  type Hashing,
  measureHashing,
  measureSignIns,
  type SignInReport,
  signInTable,
  withHashing,
} from './sign-in.ts'
import type { Subject } from './subject.ts'
import { benchVerify, type VerifyReport, asTable as verifiersAsTable } from './verify.ts'

const HELP = `npm run bench -- [options]

  --rounds <n>        rounds per server, in turn (5)
  --seconds <n>       length of a round (4)
  --connections <n>   concurrent requests (16)
  --warmup <n>        seconds of load on each server before the first round (6)
  --against <folder>  another checkout of Keyturn to compare with
  --no-refresh        skip the refresh_token scenario
  --no-signin         skip complete sign-ins, of which at most 8 are concurrent
  --no-algorithms     skip other signature algorithms and DPoP (node bench/algorithms.ts)
  --no-verify         skip the verifiers (node bench/verify.ts)
  --no-scale          skip stores with up to a million sessions (node bench/scale.ts)
  --json              print one JSON document
`

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '16' },
    warmup: { type: 'string', default: '6' },
    against: { type: 'string' },
    refresh: { type: 'boolean', default: true },
    signin: { type: 'boolean', default: true },
    algorithms: { type: 'boolean', default: true },
    verify: { type: 'boolean', default: true },
    scale: { type: 'boolean', default: true },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
  allowNegative: true,
})

if (options.help) process.stdout.write(HELP)
else await main()

function positiveOption(name: 'rounds' | 'seconds' | 'connections' | 'warmup'): number {
  const value = Number(options[name])
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a positive integer`)
  return value
}

async function main(): Promise<void> {
  const rounds = positiveOption('rounds')
  const load = { connections: positiveOption('connections'), seconds: positiveOption('seconds') }
  const warmup = positiveOption('warmup')
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  const subjects: Subject[] = []
  const reports: ScenarioReport[] = []
  let signIns: SignInReport | undefined
  try {
    const root = resolve(import.meta.dirname, '..')
    subjects.push(await startKeyturn('Keyturn', root, join(folder, 'keyturn')))
    if (options.against) {
      subjects.push(await startKeyturn('Keyturn (other)', resolve(options.against), join(folder, 'other')))
    }
    subjects.push(await startOidcProvider())
    subjects.push(await startBare())

    for (const scenario of options.refresh ? [clientCredentials, refresh] : [clientCredentials]) {
      const eligible = subjects.filter((subject) => scenario === clientCredentials || subject.refreshTokens)
      const measureRound: MeasureRound = (subject, roundLoad) => measure(subject, scenario, roundLoad)
      reports.push(await compare(scenario.name, measureRound, eligible, rounds, load, warmup))
    }
    if (options.signin) signIns = await compareSignIns(subjects, rounds, load, warmup)
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
  const algorithms = options.algorithms ? await benchAlgorithms({ rounds, load, progress }) : undefined
  // Measured without any other server running, even an idle one.
  const verifiers = options.verify ? await benchVerify({ progress }) : undefined
  const scale = options.scale ? await benchScale({ ...SCALE, load: SCALE, progress }) : undefined
  print(reports, signIns, { rounds, ...load, warmup }, subjects, { algorithms, verifiers, scale })
}

/** Results of the benchmarks that run without the servers above. */
interface SeparateResults {
  readonly algorithms: AlgorithmsReport | undefined
  readonly verifiers: VerifyReport | undefined
  readonly scale: readonly ScaleLine[] | undefined
}

type MeasureRound = (subject: Subject, load: Load) => Promise<Measurement>

async function compare(
  name: string,
  measureRound: MeasureRound,
  subjects: readonly Subject[],
  rounds: number,
  load: Load,
  warmup: number,
  afterRound: () => Promise<void> = async () => {},
): Promise<ScenarioReport> {
  const results = new Map<Subject, Measurement[]>(subjects.map((subject) => [subject, []]))
  for (const subject of subjects) {
    progress(`${name}: warming up ${subject.name}`)
    await measureRound(subject, { ...load, seconds: warmup })
  }
  for (let i = 1; i <= rounds; i += 1) {
    for (const subject of subjects) {
      const result = await measureRound(subject, load)
      progress(`${name}: round ${i}/${rounds} ${subject.name} ${Math.round(result.perSecond)}/s`)
      results.get(subject)?.push(result)
    }
    await afterRound()
  }
  return report(
    name,
    subjects.map((subject) => ({ ...subject, rounds: results.get(subject) ?? [] })),
  )
}

async function compareSignIns(
  subjects: readonly Subject[],
  rounds: number,
  load: Load,
  warmup: number,
): Promise<SignInReport> {
  const eligible = subjects.filter((subject) => subject.authorizeUrl)
  const hashing: Hashing[] = []
  const afterRound = async () => {
    hashing.push(await measureHashing(load.seconds / 2))
  }
  const report = await compare('complete sign-in', measureSignIns, eligible, rounds, load, warmup, afterRound)
  return withHashing(report, hashing)
}

function progress(line: string): void {
  if (!options.json) process.stderr.write(`${line}\n`)
}

function print(
  reports: readonly ScenarioReport[],
  signIns: SignInReport | undefined,
  load: object,
  subjects: readonly Subject[],
  { algorithms, verifiers, scale }: SeparateResults,
): void {
  const machine = { node: process.version, cpu: cpus()[0]?.model.trim(), cores: availableParallelism() }
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ machine, load, reports, sign_in: signIns, algorithms, verifiers, scale })}\n`,
    )
    return
  }
  const descriptions = subjects.map((subject) => `${subject.name}: ${subject.description}`).join('\n')
  process.stdout.write(
    `\n${[...reports.map(asTable), ...(signIns ? [signInTable(signIns)] : [])].join('\n')}\n${descriptions}\n`,
  )
  if (algorithms) process.stdout.write(`\n${algorithmsTable(algorithms)}\n`)
  if (verifiers) process.stdout.write(`\n${verifiersAsTable(verifiers)}\n`)
  if (scale) process.stdout.write(`\n${scaleTable(scale)}\n`)
  process.stdout.write(
    `${Object.entries({ ...machine, ...load })
      .map(([k, v]) => `${k} ${v}`)
      .join(', ')}\n`,
  )
}
