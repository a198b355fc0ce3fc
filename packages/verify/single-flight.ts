/** Lets concurrent callers share one run of an asynchronous function. */

export interface SingleFlight<T> {
  /** Starts a run, or joins the run in progress. */
  (): Promise<T>
  /** The run in progress, if there is one. */
  readonly current: Promise<T> | undefined
}

export function singleFlight<T>(run: () => Promise<T>): SingleFlight<T> {
  let current: Promise<T> | undefined
  const join = () => {
    current ??= run().finally(() => {
      current = undefined
    })
    return current
  }
  return Object.defineProperty(join, 'current', { get: () => current }) as SingleFlight<T>
}
