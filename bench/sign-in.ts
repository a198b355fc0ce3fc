/**
 * Complete sign-ins per second. Most of the time goes into argon2, which costs the same on all servers. So argon2 is measured
 * separately, in this process and between the rounds, and subtracted; the rest is the cost of the servers themselves.
 */
import { Agent } from 'node:http'
import { availableParallelism } from 'node:os'
import { hashPassword, verifyPassword } from '../src/accounts/password.ts'
import { signInOnce } from './code-flow.ts'
import { type Load, type Measurement, otherLoadShare, readCpuUsage, verifyToken } from './measure.ts'
import { asTable, median, type ScenarioReport } from './report.ts'
import { PASSWORD, SCOPE, type Subject } from './subject.ts'

/** Keyturn limits how many requests may wait for a password check, and refuses the others (src/accounts/password.ts). */
export const MAX_CONCURRENT_SIGN_INS = 8

/** @throws if any sign-in fails, or if the last tokens are invalid */
export async function measureSignIns(subject: Subject, load: Load): Promise<Measurement> {
  const connections = Math.min(load.connections, MAX_CONCURRENT_SIGN_INS)
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const latencies: number[] = []
  let lastBody = ''
  const before = readCpuUsage(subject)
  const start = performance.now()
  const end = start + load.seconds * 1000
  async function signInRepeatedly(first: number): Promise<void> {
    for (let index = first; performance.now() < end; index += connections) {
      const from = performance.now()
      lastBody = await signInOnce(subject, agent, index)
      latencies.push(performance.now() - from)
    }
  }
  try {
    await Promise.all(Array.from({ length: connections }, (_, i) => signInRepeatedly(i)))
  } finally {
    agent.destroy()
  }
  const seconds = (performance.now() - start) / 1000
  const after = readCpuUsage(subject)
  await verifyToken(subject, lastBody)
  const { id_token: idToken, scope } = JSON.parse(lastBody) as { id_token?: string; scope?: string }
  if (!idToken || !scope?.split(' ').includes(SCOPE)) throw new Error(`${subject.name}: ${lastBody}`)
  const count = latencies.length
  return {
    perSecond: count / seconds,
    responses: count,
    p50: Math.round(quantile(latencies, 0.5)),
    p99: Math.round(quantile(latencies, 0.99)),
    cpuMicros: before && after ? ((after.server - before.server) * 1e6) / count : null,
    otherLoad: before && after ? otherLoadShare(before, after) : null,
  }
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

export interface Hashing {
  /** Checks per second; one after the other, if not said otherwise. */
  readonly perSecond: number
  readonly cpuMicros: number
}

/** The same on all processors: checks per second. */
export interface AllHashing extends Hashing {
  readonly allPerSecond: number
}

/** @param seconds for both measurements together */
export async function measureAllHashing(seconds: number): Promise<AllHashing> {
  const sequential = await measureHashing(seconds / 2)
  const all = await measureHashing(seconds / 2, availableParallelism())
  return { ...sequential, allPerSecond: all.perSecond }
}

/**
 * Measures only the password check, with the parameters that both servers use.
 * @param concurrent checks at the same time, at most as many as the thread pool of this process has threads
 */
export async function measureHashing(seconds: number, concurrent = 1): Promise<Hashing> {
  const hash = await hashPassword(PASSWORD)
  const start = performance.now()
  const before = process.cpuUsage()
  let count = 0
  async function check(): Promise<void> {
    while (performance.now() < start + seconds * 1000) {
      if (!(await verifyPassword(hash, PASSWORD)).ok) throw new Error('the password does not match')
      count += 1
    }
  }
  await Promise.all(Array.from({ length: concurrent }, check))
  const { user, system } = process.cpuUsage(before)
  return { perSecond: (count * 1000) / (performance.now() - start), cpuMicros: (user + system) / count }
}

export interface SignInReport extends ScenarioReport {
  /** Only argon2: medians of the rounds. */
  readonly argon2: { readonly per_second: number; readonly all_per_second: number; readonly cpu_us: number }
  /** Name → CPU µs per sign-in without argon2; null if CPU time cannot be read. */
  readonly net_cpu_us: Readonly<Record<string, number | null>>
}

export function withHashing(report: ScenarioReport, hashing: readonly AllHashing[]): SignInReport {
  const perSecond = Math.round(median(hashing.map((round) => round.perSecond)))
  const allPerSecond = Math.round(median(hashing.map((round) => round.allPerSecond)))
  const hashCpu = Math.round(median(hashing.map((round) => round.cpuMicros)))
  const net = report.lines.map(
    ({ name, cpu_us: cpu }) => [name, cpu === null ? null : cpu - hashCpu] as const,
  )
  return {
    ...report,
    argon2: { per_second: perSecond, all_per_second: allPerSecond, cpu_us: hashCpu },
    net_cpu_us: Object.fromEntries(net),
  }
}

export function signInTable(report: SignInReport): string {
  const { per_second: perSecond, all_per_second: allPerSecond, cpu_us: hashCpu } = report.argon2
  const net = Object.entries(report.net_cpu_us)
    .filter(([, cpu]) => cpu !== null)
    .map(([name, cpu]) => `${name} ${cpu}`)
  return [
    asTable(report),
    `argon2: ${perSecond} sequential checks per second, ${hashCpu} CPU µs each; ${allPerSecond} on all processors.\n`,
    net.length === 0 ? '' : `CPU µs per sign-in without argon2: ${net.join(', ')}.\n`,
  ].join('')
}
