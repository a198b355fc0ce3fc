/** Measures several servers in turn, so that a slower machine affects all of them. */
import type { Progress } from './command.ts'
import type { Load, Measurement } from './measure.ts'
import { report, type ScenarioReport } from './report.ts'
import type { Subject } from './subject.ts'

export type MeasureRound = (subject: Subject, load: Load) => Promise<Measurement>

export interface Comparison {
  readonly name: string
  readonly subjects: readonly Subject[]
  readonly measureRound: MeasureRound
  readonly rounds: number
  readonly load: Load
  /** Seconds of load on each server before the first round. */
  readonly warmup: number
  readonly progress: Progress
  readonly afterRound?: () => Promise<void>
}

export async function compare({
  name,
  subjects,
  measureRound,
  rounds,
  load,
  warmup,
  progress,
  afterRound,
}: Comparison): Promise<ScenarioReport> {
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
    await afterRound?.()
  }
  return report(
    name,
    subjects.map((subject) => ({ ...subject, rounds: results.get(subject) ?? [] })),
  )
}
