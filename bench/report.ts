/** Rounds → medians, spread and ratios; as a table for people and as one JSON document. */
import { table } from '../src/cli/output.ts'
import type { Measurement } from './measure.ts'

export interface Line {
  readonly name: string
  readonly what: string
  /** Per second. */
  readonly median: number
  readonly min: number
  readonly max: number
  readonly p50_ms: number
  readonly p99_ms: number
  readonly cpu_us: number | null
  /** name → the median of the rounds' ratios: what was measured one right after the other is compared. */
  readonly ratio_to: Record<string, number>
  readonly rounds: readonly number[]
}

export interface ScenarioReport {
  readonly scenario: string
  readonly lines: readonly Line[]
  /** The part of the machine that other work took meanwhile, 0 to 1 (median of the rounds); null if not known. */
  readonly elsewhere: number | null
}

export interface Series {
  readonly name: string
  readonly what: string
  readonly rounds: readonly Measurement[]
}

export function report(scenario: string, series: readonly Series[]): ScenarioReport {
  const lines = series.map((own): Line => {
    const rates = own.rounds.map((round) => round.perSecond)
    const cpu = own.rounds.map((round) => round.cpuMicros).filter((value) => value !== null)
    const others = series.filter((other) => other !== own)
    return {
      name: own.name,
      what: own.what,
      median: round(median(rates), 0),
      min: round(Math.min(...rates), 0),
      max: round(Math.max(...rates), 0),
      p50_ms: median(own.rounds.map((round) => round.p50)),
      p99_ms: median(own.rounds.map((round) => round.p99)),
      cpu_us: cpu.length === 0 ? null : round(median(cpu), 0),
      ratio_to: Object.fromEntries(others.map((other) => [other.name, round(ratio(own, other), 3)])),
      rounds: rates.map((rate) => round(rate, 0)),
    }
  })
  const elsewhere = series
    .flatMap((own) => own.rounds.map((round) => round.elsewhere))
    .filter((value) => value !== null)
  return { scenario, lines, elsewhere: elsewhere.length === 0 ? null : round(median(elsewhere), 2) }
}

function ratio(own: Series, other: Series): number {
  return median(own.rounds.map((round, i) => round.perSecond / (other.rounds[i]?.perSecond ?? Number.NaN)))
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits))

export function asTable({ scenario, lines, elsewhere }: ScenarioReport): string {
  const [first, ...others] = lines
  const rows = lines.map((line) => [
    line.name,
    line.median,
    `${line.min} – ${line.max}`,
    line.p50_ms,
    line.p99_ms,
    line.cpu_us,
    line === first ? '' : (first?.ratio_to[line.name] ?? 0).toFixed(2),
  ])
  const columns = [
    scenario,
    'per second, median',
    'min – max',
    'p50 ms',
    'p99 ms',
    'CPU µs each',
    others.length > 0 ? `${first?.name} is × this` : '',
  ]
  return table(columns, rows) + noise(elsewhere)
}

/** Past this, the figures say as much about the other work as about the servers. */
const QUIET = 0.1

function noise(elsewhere: number | null): string {
  if (elsewhere === null || elsewhere <= QUIET) return ''
  return `Other work took ${Math.round(elsewhere * 100)} % of this machine meanwhile: measure again when it is quiet.\n`
}
