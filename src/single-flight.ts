/** Lets concurrent callers share one call. Must not know what is called. */

export interface SingleFlight<T> {
  /** Starts the call, or joins the running one. */
  (): Promise<T>
  /** Resolves when no call is running, whether the last one succeeded or failed. */
  settled(): Promise<void>
}

/** Callers that come while `work` is running get its promise. The first caller after that starts it again. */
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

/** Starts `work`, or joins the running call with the same key and ignores `work`. */
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
