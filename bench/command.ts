/** The command line that the benchmarks have in common. */
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'

export type Progress = (line: string) => void

type Values = Readonly<Record<string, number | readonly number[] | string>>

export interface BenchCommand<Options extends Values, Report> {
  /** The text of `--help`. */
  readonly help: string
  /** The options and their default values: positive numbers, lists of numbers with commas, or texts. */
  readonly defaults: Options
  run(options: Options, progress: Progress): Promise<Report>
  asTable(report: Report): string
}

export const machine = () => ({
  node: process.version,
  cpu: cpus()[0]?.model.trim(),
  cores: availableParallelism(),
})

/** Runs one benchmark with the arguments of the process, and prints its table, or with `--json` its report. */
export async function runBenchCommand<Options extends Values, Report>(
  command: BenchCommand<Options, Report>,
): Promise<void> {
  const { values } = parseArgs({
    options: {
      ...Object.fromEntries(Object.keys(command.defaults).map((name) => [name, { type: 'string' as const }])),
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) return void process.stdout.write(command.help)
  const options = Object.fromEntries(
    Object.entries(command.defaults).map(([name, preset]) => [
      name,
      optionValue(name, (values as Record<string, unknown>)[name], preset),
    ]),
  ) as unknown as Options
  const report = await command.run(options, (line) => {
    if (!values.json) process.stderr.write(`${line}\n`)
  })
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ machine: machine(), options, report })}\n`
      : `\n${command.asTable(report)}`,
  )
}

function optionValue(name: string, value: unknown, preset: Values[string]) {
  if (value === undefined) return preset
  if (typeof preset === 'string') return String(value)
  const numbers = String(value).split(',').map(Number)
  const [first = Number.NaN] = numbers
  if (typeof preset !== 'number' && numbers.every((number) => number >= 0)) return numbers
  if (typeof preset === 'number' && numbers.length === 1 && first > 0) return first
  throw new Error(
    `--${name} must be ${typeof preset === 'number' ? 'a positive number' : 'numbers with commas'}`,
  )
}
