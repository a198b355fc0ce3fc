/**
 * `npm run bench`: compares Keyturn with oidc-provider and with a bare route that only signs. Each server is a separate process,
 * and this process generates the load. The servers take turns in each round, so that a slower machine affects all of them.
 * Then runs the other benchmarks of this folder one after the other, each without any other server, even an idle one.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type AlgorithmsReport, algorithmsTable, benchAlgorithms } from './algorithms.ts'
import { machine } from './command.ts'
import { compare, type MeasureRound } from './compare.ts'
import { benchEngines, ENGINES, type EnginesReport, enginesTable } from './engines.ts'
import { benchFlood, FLOOD, type FloodReport, floodTable } from './flood.ts'
import { benchFootprint, FOOTPRINT, type FootprintLine, footprintTable } from './footprint.ts'
import { clientCredentials, type Load, measure, refresh } from './measure.ts'
import { asTable, type ScenarioReport } from './report.ts'
import { benchScale, SCALE, type ScaleLine, scaleTable } from './scale.ts'
import { startBare, startOidcProvider } from './servers/index.ts'
import { startKeyturn } from './servers/keyturn.ts'
import {
  type AllHashing,
  measureAllHashing,
  measureSignIns,
  type SignInReport,
  signInTable,
  withHashing,
} from './sign-in.ts'
import { benchSlowDisk, SLOW_DISK, type SlowDiskReport, slowDiskTable } from './slow-disk.ts'
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
  --no-engines        skip PostgreSQL beside SQLite (node bench/engines.ts)
  --no-slow-disk      skip disks with slow flushes (node bench/slow-disk.ts)
  --no-flood          skip tokens during sign-ins (node bench/flood.ts)
  --no-footprint      skip start, memory and idle processor time (node bench/footprint.ts)
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
    engines: { type: 'boolean', default: true },
    'slow-disk': { type: 'boolean', default: true },
    flood: { type: 'boolean', default: true },
    footprint: { type: 'boolean', default: true },
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
      const { name } = scenario
      reports.push(await compare({ name, subjects: eligible, measureRound, rounds, load, warmup, progress }))
    }
    if (options.signin) signIns = await compareSignIns(subjects, rounds, load, warmup)
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
  const others: OtherResults = {
    algorithms: options.algorithms ? await benchAlgorithms({ rounds, load, progress }) : undefined,
    verifiers: options.verify ? await benchVerify({ progress }) : undefined,
    engines: options.engines ? await benchEngines(ENGINES, progress) : undefined,
    slow_disk: options['slow-disk'] ? await benchSlowDisk(SLOW_DISK, progress) : undefined,
    flood: options.flood ? await benchFlood(FLOOD, progress) : undefined,
    footprint: options.footprint ? await benchFootprint(FOOTPRINT, progress) : undefined,
    scale: options.scale ? await benchScale({ ...SCALE, load: SCALE, progress }) : undefined,
  }
  print(reports, signIns, { rounds, ...load, warmup }, subjects, others)
}

/** Results of the benchmarks that run without the servers above. */
interface OtherResults {
  readonly algorithms: AlgorithmsReport | undefined
  readonly verifiers: VerifyReport | undefined
  readonly engines: EnginesReport | undefined
  readonly slow_disk: SlowDiskReport | undefined
  readonly flood: FloodReport | undefined
  readonly footprint: readonly FootprintLine[] | undefined
  readonly scale: readonly ScaleLine[] | undefined
}

async function compareSignIns(
  subjects: readonly Subject[],
  rounds: number,
  load: Load,
  warmup: number,
): Promise<SignInReport> {
  const eligible = subjects.filter((subject) => subject.authorizeUrl)
  const hashing: AllHashing[] = []
  const afterRound = async () => {
    hashing.push(await measureAllHashing(load.seconds))
  }
  const report = await compare({
    name: 'complete sign-in',
    subjects: eligible,
    measureRound: measureSignIns,
    rounds,
    load,
    warmup,
    progress,
    afterRound,
  })
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
  others: OtherResults,
): void {
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ machine: machine(), load, reports, sign_in: signIns, ...others })}\n`,
    )
    return
  }
  const descriptions = subjects.map((subject) => `${subject.name}: ${subject.description}`).join('\n')
  process.stdout.write(
    `\n${[...reports.map(asTable), ...(signIns ? [signInTable(signIns)] : [])].join('\n')}\n${descriptions}\n`,
  )
  const { algorithms, verifiers, engines, slow_disk: slowDisk, flood, footprint, scale } = others
  const tables = [
    algorithms && algorithmsTable(algorithms),
    verifiers && verifiersAsTable(verifiers),
    engines && enginesTable(engines),
    slowDisk && slowDiskTable(slowDisk),
    flood && floodTable(flood),
    footprint && footprintTable(footprint),
    scale && scaleTable(scale),
  ]
  for (const text of tables) if (text) process.stdout.write(`\n${text}\n`)
  process.stdout.write(
    `${Object.entries({ ...machine(), ...load })
      .map(([k, v]) => `${k} ${v}`)
      .join(', ')}\n`,
  )
}
