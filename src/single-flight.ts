/**
 * One call shared by all concurrent callers. Must not know what is called.
 */

export interface SingleFlight<T> {
  /** Starts the call, or joins the one that is under way. */
  (): Promise<T>
  /** Resolves when no call is under way, whether the last one succeeded or failed. */
  settled(): Promise<void>
}

/** Callers that come while `work` is under way get its promise; the next caller after that starts it again. */
export function singleFlight<T>(work: () => Promise<T>): SingleFlight<T> {
  let inFlight: Promise<T> | undefined
  const call = (): Promise<T> => {
    inFlight ??= work().finally(() => {
      inFlight = undefined
    })
    return inFlight
  }
  const settled = async (): Promise<void> => {
    await inFlight?.catch(() => {})
  }
  return Object.assign(call, { settled })
}

/** Starts `work`, or joins what is under way for the same key, whose `work` is the one that runs. */
export type SingleFlightByKey<K, T> = (key: K, work: () => Promise<T>) => Promise<T>

export function singleFlightByKey<K, T>(): SingleFlightByKey<K, T> {
  const inFlight = new Map<K, Promise<T>>()
  return (key, work) => {
    const joined = inFlight.get(key)
    if (joined) return joined
    const started = work().finally(() => inFlight.delete(key))
    inFlight.set(key, started)
    return started
  }
}
