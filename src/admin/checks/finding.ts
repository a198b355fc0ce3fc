/** How checks report. Must not know what is checked. */

export interface Finding {
  readonly check: string
  readonly ok: boolean
  /** What was found and, if it is a problem, what to do. */
  readonly message: string
}

/** What a check has found, and what later checks need of it. It throws an error if it found a problem. */
type Found<T> = readonly [message: string, result?: T]

export interface Report {
  readonly findings: readonly Finding[]
  /** Records the message that `work` returns or throws. Returns its result, or undefined if there was a problem. */
  check<T>(name: string, work: () => Promise<Found<T>> | Found<T>): Promise<T | undefined>
}

/** @param problemsIn the messages for an error that a check has thrown; it may throw the error again, which ends the report */
export function createReport(problemsIn: (error: unknown) => readonly string[]): Report {
  const findings: Finding[] = []
  return {
    findings,
    async check(name, work) {
      try {
        const [message, result] = await work()
        findings.push({ check: name, ok: true, message })
        return result
      } catch (error) {
        for (const message of problemsIn(error)) findings.push({ check: name, ok: false, message })
        return undefined
      }
    },
  }
}
