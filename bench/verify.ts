/**
 * `node bench/verify.ts`: verifications per second, of tokens not seen before and of tokens seen before, beside bare
 * node:crypto, jose and fast-jwt. Each verifier is a process of its own, and the rounds take turns, so that a
 * machine that slows down slows all of them. Every verdict is looked at.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { table } from '../src/cli/output.ts'
import { median } from './report.ts'
import type { Go, Took } from './verifiers/run.ts'
import { SUBJECTS, type SubjectName } from './verifiers/subjects.ts'

/** Many short rounds: a machine has other things to do now and then, and a ratio is of neighbours in time. */
const ROUNDS = 31
const SECONDS = 0.25

const HELP = `node bench/verify.ts [options]

  --rounds <n>      rounds of each verifier, in turn (${ROUNDS})
  --seconds <n>     length of a round (${SECONDS})
  --json            one JSON document on stdout
`

/** What each is compared with, and what the project aims at. */
const AIMS = [
  { subject: 'keyturn', beside: 'crypto', least: 0.85 },
  { subject: 'keyturn-cached', beside: 'fast-jwt-cached', least: 1.2 },
] as const satisfies readonly { subject: SubjectName; beside: SubjectName; least: number }[]

export interface VerifyReport {
  readonly lines: readonly {
    name: string
    what: string
    median: number
    min: number
    max: number
    us: number
  }[]
  readonly aims: readonly {
    subject: string
    beside: string
    ratio: number
    least: number
    reached: boolean
  }[]
}

/** Rounds in turn; a ratio is the median of the rounds' ratios, so that only neighbours in time are compared. */
export async function benchVerify({
  rounds = ROUNDS,
  seconds = SECONDS,
  progress,
}: {
  readonly rounds?: number
  readonly seconds?: number
  readonly progress: (line: string) => void
}): Promise<VerifyReport> {
  const names = Object.keys(SUBJECTS) as SubjectName[]
  const children = new Map<SubjectName, ChildProcess>()
  const rates = new Map<SubjectName, number[]>(names.map((name) => [name, []]))
  try {
    for (const name of names) {
      const child = fork(new URL('verifiers/run.ts', import.meta.url), [name], {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      })
      children.set(name, child)
      await answer(child, name)
      await round(child, name, seconds)
    }
    for (let i = 1; i <= rounds; i += 1) {
      for (const [name, child] of children) {
        const rate = await round(child, name, seconds)
        rates.get(name)?.push(rate)
        progress(`verify: round ${i}/${rounds} ${name} ${Math.round(rate)}/s`)
      }
    }
  } finally {
    for (const child of children.values()) child.kill()
  }
  return report(rates)
}

async function round(child: ChildProcess, name: string, seconds: number): Promise<number> {
  child.send({ milliseconds: seconds * 1000 } satisfies Go)
  const { verified, milliseconds } = await answer(child, name)
  return (verified * 1000) / milliseconds
}

async function answer(child: ChildProcess, name: string): Promise<Took> {
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`${name} ended (exit ${code})`)
  })
  const [took] = await Promise.race([once(child, 'message'), failed])
  failed.catch(() => {})
  return took as Took
}

function report(rates: ReadonlyMap<SubjectName, readonly number[]>): VerifyReport {
  const of = (name: SubjectName) => rates.get(name) ?? []
  return {
    lines: [...rates].map(([name, all]) => ({
      name,
      what: SUBJECTS[name].what,
      median: Math.round(median(all)),
      min: Math.round(Math.min(...all)),
      max: Math.round(Math.max(...all)),
      us: Number((1e6 / median(all)).toFixed(2)),
    })),
    aims: AIMS.map(({ subject, beside, least }) => {
      const ratio = median(of(subject).map((rate, i) => rate / (of(beside)[i] ?? Number.NaN)))
      return { subject, beside, ratio: Number(ratio.toFixed(3)), least, reached: ratio >= least }
    }),
  }
}

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      rounds: { type: 'string', default: `${ROUNDS}` },
      seconds: { type: 'string', default: `${SECONDS}` },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (options.help) return void process.stdout.write(HELP)
  const [rounds, seconds] = [Number(options.rounds), Number(options.seconds)]
  if (!(rounds >= 1 && seconds > 0)) throw new Error('--rounds and --seconds must be above 0')
  const progress = (line: string): void => {
    if (!options.json) process.stderr.write(`${line}\n`)
  }
  const result = await benchVerify({ rounds, seconds, progress })
  const machine = { node: process.version, cpu: cpus()[0]?.model.trim(), cores: availableParallelism() }
  process.stdout.write(
    options.json ? `${JSON.stringify({ machine, rounds, seconds, ...result })}\n` : `\n${asTable(result)}`,
  )
}

export function asTable({ lines, aims }: VerifyReport): string {
  const columns = ['verifier', 'per second, median', 'min – max', 'µs each', '']
  const rows = lines.map((line) => [line.name, line.median, `${line.min} – ${line.max}`, line.us, line.what])
  const verdicts = aims.map(
    ({ subject, beside, ratio, least, reached }) =>
      `${subject} is × ${ratio.toFixed(2)} of ${beside} (aim: ${least}, ${reached ? 'reached' : 'not reached'})`,
  )
  return `${table(columns, rows)}\n${verdicts.join('\n')}\n`
}

if (import.meta.main) await main()
