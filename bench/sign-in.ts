/**
 * Whole sign-ins a second. Most of one is argon2, which is the same work wherever it is done, so that is measured alone,
 * in this process and between the rounds, and taken off: what is left is what the servers themselves cost.
 */
import { Agent } from 'node:http'
import { hashPassword, verifyPassword } from '../src/accounts/password.ts'
import { signInOnce } from './code-flow.ts'
import { type Load, type Measurement, share, used, verifyToken } from './measure.ts'
import { asTable, median, type ScenarioReport } from './report.ts'
import { PASSWORD, SCOPE, type Subject } from './subject.ts'

/** People at once. Keyturn lets few wait for a password check and turns the others away (src/accounts/concurrency-limiter.ts). */
export const MOST_AT_ONCE = 8

/** @throws if a single sign-in does not end with tokens, or if the last ones are not good */
export async function measureSignIns(subject: Subject, load: Load): Promise<Measurement> {
  const connections = Math.min(load.connections, MOST_AT_ONCE)
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const latencies: number[] = []
  let last = ''
  const before = used(subject)
  const begun = performance.now()
  const end = begun + load.seconds * 1000
  async function oneAfterTheOther(first: number): Promise<void> {
    for (let nth = first; performance.now() < end; nth += connections) {
      const from = performance.now()
      last = await signInOnce(subject, agent, nth)
      latencies.push(performance.now() - from)
    }
  }
  try {
    await Promise.all(Array.from({ length: connections }, (_, i) => oneAfterTheOther(i)))
  } finally {
    agent.destroy()
  }
  const seconds = (performance.now() - begun) / 1000
  const after = used(subject)
  await verifyToken(subject, last)
  const { id_token: idToken, scope } = JSON.parse(last) as { id_token?: string; scope?: string }
  if (!idToken || !scope?.split(' ').includes(SCOPE)) throw new Error(`${subject.name}: ${last}`)
  const answers = latencies.length
  return {
    perSecond: answers / seconds,
    answers,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    cpuMicros: before && after ? ((after.server - before.server) * 1e6) / answers : null,
    elsewhere: before && after ? share(before, after) : null,
  }
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN)
}

export interface Hashing {
  /** One after the other. */
  readonly perSecond: number
  readonly cpuMicros: number
}

/** The check of a password alone, with the parameters that both servers use. */
export async function measureHashing(seconds: number): Promise<Hashing> {
  const hash = await hashPassword(PASSWORD)
  const begun = performance.now()
  const before = process.cpuUsage()
  let count = 0
  while (performance.now() < begun + seconds * 1000) {
    if (!(await verifyPassword(hash, PASSWORD)).ok) throw new Error('the password is not right')
    count += 1
  }
  const { user, system } = process.cpuUsage(before)
  return { perSecond: (count * 1000) / (performance.now() - begun), cpuMicros: (user + system) / count }
}

export interface SignInReport extends ScenarioReport {
  /** argon2 alone: medians of the rounds. */
  readonly argon2: { readonly per_second: number; readonly cpu_us: number }
  /** name → CPU µs a sign-in without argon2; null where CPU time cannot be read. */
  readonly net_cpu_us: Readonly<Record<string, number | null>>
}

export function withHashing(gross: ScenarioReport, hashing: readonly Hashing[]): SignInReport {
  const perSecond = Math.round(median(hashing.map((round) => round.perSecond)))
  const alone = Math.round(median(hashing.map((round) => round.cpuMicros)))
  const net = gross.lines.map(({ name, cpu_us: cpu }) => [name, cpu === null ? null : cpu - alone] as const)
  return { ...gross, argon2: { per_second: perSecond, cpu_us: alone }, net_cpu_us: Object.fromEntries(net) }
}

export function signInTable(report: SignInReport): string {
  const { per_second: perSecond, cpu_us: alone } = report.argon2
  const net = Object.entries(report.net_cpu_us)
    .filter(([, cpu]) => cpu !== null)
    .map(([name, cpu]) => `${name} ${cpu}`)
  return [
    asTable(report),
    `argon2 alone: ${perSecond} checks a second one after the other, ${alone} CPU µs each.\n`,
    net.length === 0 ? '' : `CPU µs a sign-in without argon2: ${net.join(', ')}.\n`,
  ].join('')
}
