/**
 * `node bench/verify.ts`: verifications per second, with and without a cache of verified tokens, compared with node:crypto, jose
 * and fast-jwt. Each verifier is a separate process. They take turns in each round, so that a slower machine affects all of them.
 * Every result is checked.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { table } from '../src/cli/output.ts'
import { type Progress, runBenchCommand } from './command.ts'
import { median } from './report.ts'
import type { VerifyCommand, VerifyResult } from './verifiers/run.ts'
import { SUBJECTS, type SubjectName } from './verifiers/subjects.ts'

/** Many short rounds, because other processes disturb some of them, and ratios compare rounds next to each other in time. */
const ROUNDS = 31
const SECONDS = 0.25

const HELP = `node bench/verify.ts [options]

  --rounds <n>      rounds per verifier, in turn (${ROUNDS})
  --seconds <n>     length of a round (${SECONDS})
  --json            print one JSON document
`

/** The ratios that the project aims at. */
const TARGETS = [
  { subject: 'keyturn', comparedWith: 'crypto', minimum: 0.85 },
  { subject: 'keyturn-cached', comparedWith: 'fast-jwt-cached', minimum: 1.2 },
] as const satisfies readonly { subject: SubjectName; comparedWith: SubjectName; minimum: number }[]

export interface VerifyReport {
  readonly lines: readonly {
    name: string
    description: string
    median: number
    min: number
    max: number
    us: number
  }[]
  readonly targets: readonly {
    subject: string
    comparedWith: string
    ratio: number
    minimum: number
    reached: boolean
  }[]
}

/** A ratio is the median of the ratios per round, because only rounds next to each other in time are comparable. */
export async function benchVerify({
  rounds = ROUNDS,
  seconds = SECONDS,
  progress,
}: {
  readonly rounds?: number
  readonly seconds?: number
  readonly progress: Progress
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
      await nextResult(child, name)
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
  child.send({ milliseconds: seconds * 1000 } satisfies VerifyCommand)
  const { verified, milliseconds } = await nextResult(child, name)
  return (verified * 1000) / milliseconds
}

async function nextResult(child: ChildProcess, name: string): Promise<VerifyResult> {
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`${name} ended (exit ${code})`)
  })
  const [result] = await Promise.race([once(child, 'message'), failed])
  failed.catch(() => {})
  return result as VerifyResult
}

function report(rates: ReadonlyMap<SubjectName, readonly number[]>): VerifyReport {
  const ratesOf = (name: SubjectName) => rates.get(name) ?? []
  return {
    lines: [...rates].map(([name, all]) => ({
      name,
      description: SUBJECTS[name].description,
      median: Math.round(median(all)),
      min: Math.round(Math.min(...all)),
      max: Math.round(Math.max(...all)),
      us: Number((1e6 / median(all)).toFixed(2)),
    })),
    targets: TARGETS.map(({ subject, comparedWith, minimum }) => {
      const ratio = median(ratesOf(subject).map((rate, i) => rate / (ratesOf(comparedWith)[i] ?? Number.NaN)))
      return { subject, comparedWith, ratio: Number(ratio.toFixed(3)), minimum, reached: ratio >= minimum }
    }),
  }
}

export function asTable({ lines, targets }: VerifyReport): string {
  const columns = ['verifier', 'per second, median', 'min – max', 'µs each', '']
  const rows = lines.map((line) => [
    line.name,
    line.median,
    `${line.min} – ${line.max}`,
    line.us,
    line.description,
  ])
  const verdicts = targets.map(
    ({ subject, comparedWith, ratio, minimum, reached }) =>
      `${subject}: ${ratio.toFixed(2)} × ${comparedWith} (target: ${minimum}, ${reached ? 'reached' : 'not reached'})`,
  )
  return `${table(columns, rows)}\n${verdicts.join('\n')}\n`
}

if (import.meta.main)
  await runBenchCommand({
    help: HELP,
    defaults: { rounds: ROUNDS, seconds: SECONDS },
    run: (options, progress) => benchVerify({ ...options, progress }),
    asTable,
  })
