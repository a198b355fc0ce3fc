/**
 * `npm run bench`: Keyturn beside oidc-provider and beside a bare route with one signature. Each server is a
 * process of its own, this process makes the load, and the rounds take turns, so that a machine that slows down
 * slows all of them. Then the verifiers of bench/verify.ts.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { clientCredentials, type Load, type Measurement, measure, refresh } from './measure.ts'
import { asTable, report, type ScenarioReport } from './report.ts'
import { benchScale, SCALE, type ScaleLine, scaleTable } from './scale.ts'
import { startKeyturn } from './servers/keyturn.ts'
import {
  type Hashing,
  measureHashing,
  measureSignIns,
  type SignInReport,
  signInTable,
  withHashing,
} from './sign-in.ts'
import { type Subject, startProgram, stop } from './subject.ts'
import { benchVerify, type VerifyReport, asTable as verifiersAsTable } from './verify.ts'

const HELP = `npm run bench -- [options]

  --rounds <n>        rounds of each server, in turn (5)
  --seconds <n>       length of a round (4)
  --connections <n>   requests in flight, the same for all (16)
  --warmup <n>        seconds of load on each server before anything counts (6)
  --against <folder>  another checkout of Keyturn, measured in the same run
  --no-refresh        leave out the refresh_token scenario
  --no-signin         leave out whole sign-ins, of at most 8 people at once
  --no-verify         leave out the verifiers, which node bench/verify.ts measures alone
  --no-scale          leave out the stores of up to a million sessions, which node bench/scale.ts measures alone
  --json              one JSON document on stdout
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
    verify: { type: 'boolean', default: true },
    scale: { type: 'boolean', default: true },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
  allowNegative: true,
})

if (options.help) process.stdout.write(HELP)
else await main()

function positive(name: 'rounds' | 'seconds' | 'connections' | 'warmup'): number {
  const value = Number(options[name])
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a whole number above 0`)
  return value
}

async function main(): Promise<void> {
  const rounds = positive('rounds')
  const load = { connections: positive('connections'), seconds: positive('seconds') }
  const warmup = positive('warmup')
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
      const able = subjects.filter((subject) => scenario === clientCredentials || subject.refreshTokens)
      const once: Measure = (subject, given) => measure(subject, scenario, given)
      reports.push(await compare(scenario.name, once, able, rounds, load, warmup))
    }
    if (options.signin) signIns = await compareSignIns(subjects, rounds, load, warmup)
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
  // Not beside servers, even idle ones.
  const verifiers = options.verify ? await benchVerify({ progress }) : undefined
  const scale = options.scale ? await benchScale({ ...SCALE, load: SCALE, progress }) : undefined
  print(reports, signIns, { rounds, ...load, warmup }, subjects, { verifiers, scale })
}

/** What is measured by itself. */
interface Apart {
  readonly verifiers: VerifyReport | undefined
  readonly scale: readonly ScaleLine[] | undefined
}

type Measure = (subject: Subject, load: Load) => Promise<Measurement>

async function compare(
  name: string,
  once: Measure,
  subjects: readonly Subject[],
  rounds: number,
  load: Load,
  warmup: number,
  between: () => Promise<void> = async () => {},
): Promise<ScenarioReport> {
  const results = new Map<Subject, Measurement[]>(subjects.map((subject) => [subject, []]))
  for (const subject of subjects) {
    progress(`${name}: warming up ${subject.name}`)
    await once(subject, { ...load, seconds: warmup })
  }
  for (let i = 1; i <= rounds; i += 1) {
    for (const subject of subjects) {
      const result = await once(subject, load)
      progress(`${name}: round ${i}/${rounds} ${subject.name} ${Math.round(result.perSecond)}/s`)
      results.get(subject)?.push(result)
    }
    await between()
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
  const able = subjects.filter((subject) => subject.authorizeUrl)
  const hashing: Hashing[] = []
  const between = async () => {
    hashing.push(await measureHashing(load.seconds / 2))
  }
  const gross = await compare('whole sign-in', measureSignIns, able, rounds, load, warmup, between)
  return withHashing(gross, hashing)
}

async function startBare(): Promise<Subject> {
  const { child, ready } = await startProgram('bare.ts')
  const what = 'a Fastify route and one jose signature of the same claims; no client authentication, no log'
  return { ...ready, name: 'bare route', what, pid: child.pid as number, stop: () => stop(child) }
}

async function startOidcProvider(): Promise<Subject> {
  const { child, ready } = await startProgram('oidc-provider.ts')
  return {
    ...ready,
    name: 'oidc-provider',
    what: 'oidc-provider with JWT access tokens, its in-memory adapter (nothing on disk), no log',
    pid: child.pid as number,
    refreshTokens(count) {
      const answer = new Promise<string[]>((done) => child.once('message', (list) => done(list as string[])))
      child.send({ refreshTokens: count })
      return answer
    },
    stop: () => stop(child),
  }
}

function progress(line: string): void {
  if (!options.json) process.stderr.write(`${line}\n`)
}

function print(
  reports: readonly ScenarioReport[],
  signIns: SignInReport | undefined,
  load: object,
  subjects: readonly Subject[],
  { verifiers, scale }: Apart,
): void {
  const machine = { node: process.version, cpu: cpus()[0]?.model.trim(), cores: availableParallelism() }
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ machine, load, reports, sign_in: signIns, verifiers, scale })}\n`,
    )
    return
  }
  const about = subjects.map((subject) => `${subject.name}: ${subject.what}`).join('\n')
  process.stdout.write(
    `\n${[...reports.map(asTable), ...(signIns ? [signInTable(signIns)] : [])].join('\n')}\n${about}\n`,
  )
  if (verifiers) process.stdout.write(`\n${verifiersAsTable(verifiers)}\n`)
  if (scale) process.stdout.write(`\n${scaleTable(scale)}\n`)
  process.stdout.write(
    `${Object.entries({ ...machine, ...load })
      .map(([k, v]) => `${k} ${v}`)
      .join(', ')}\n`,
  )
}
