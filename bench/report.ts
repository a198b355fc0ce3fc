/** Computes medians, ranges and ratios of rounds, and formats them as a table. */
import { table } from '../src/cli/output.ts'
import type { Measurement } from './measure.ts'

export interface Line {
  readonly name: string
  readonly description: string
  /** Responses per second: median, minimum and maximum of the rounds. */
  readonly median: number
  readonly min: number
  readonly max: number
  readonly p50_ms: number
  readonly p99_ms: number
  readonly cpu_us: number | null
  /** Name of another line → median of the ratios per round, because only rounds next to each other in time are comparable. */
  readonly ratio_to: Record<string, number>
  readonly rounds: readonly number[]
}

export interface ScenarioReport {
  readonly scenario: string
  readonly lines: readonly Line[]
  /** Median share of the machine's processor time that other processes used, 0 to 1; null if unknown. */
  readonly otherLoad: number | null
}

export interface Series {
  readonly name: string
  readonly description: string
  readonly rounds: readonly Measurement[]
}

export function report(scenario: string, series: readonly Series[]): ScenarioReport {
  const lines = series.map((current): Line => {
    const rates = current.rounds.map((round) => round.perSecond)
    const cpu = current.rounds.map((round) => round.cpuMicros).filter((value) => value !== null)
    const otherSeries = series.filter((other) => other !== current)
    return {
      name: current.name,
      description: current.description,
      median: round(median(rates), 0),
      min: round(Math.min(...rates), 0),
      max: round(Math.max(...rates), 0),
      p50_ms: median(current.rounds.map((round) => round.p50)),
      p99_ms: median(current.rounds.map((round) => round.p99)),
      cpu_us: cpu.length === 0 ? null : round(median(cpu), 0),
      ratio_to: Object.fromEntries(otherSeries.map((other) => [other.name, round(ratio(current, other), 3)])),
      rounds: rates.map((rate) => round(rate, 0)),
    }
  })
  const otherLoad = series
    .flatMap((current) => current.rounds.map((round) => round.otherLoad))
    .filter((value) => value !== null)
  return { scenario, lines, otherLoad: otherLoad.length === 0 ? null : round(median(otherLoad), 2) }
}

function ratio(current: Series, other: Series): number {
  return median(
    current.rounds.map((round, i) => round.perSecond / (other.rounds[i]?.perSecond ?? Number.NaN)),
  )
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits))

export function asTable({ scenario, lines, otherLoad }: ScenarioReport): string {
  const [first, ...otherSeries] = lines
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
    otherSeries.length > 0 ? `${first?.name} ÷ this` : '',
  ]
  return table(columns, rows) + noiseWarning(otherLoad)
}

/** Above this share, the results are not reliable. */
const MAX_OTHER_LOAD = 0.1

function noiseWarning(otherLoad: number | null): string {
  if (otherLoad === null || otherLoad <= MAX_OTHER_LOAD) return ''
  return `Other processes used ${Math.round(otherLoad * 100)} % of this machine: repeat the measurement when it is idle.\n`
}
