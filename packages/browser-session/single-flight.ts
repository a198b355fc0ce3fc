/** Lets concurrent callers with the same key share one run of an asynchronous function. */

export interface SingleFlight<K, T> {
  /** Joins the run in progress for this key, or starts one. */
  run(key: K, start: () => Promise<T>): Promise<T>
  /** The run in progress for this key, if there is one. */
  current(key: K): Promise<T> | undefined
}

export function singleFlight<K, T>(): SingleFlight<K, T> {
  const running = new Map<K, Promise<T>>()
  return {
    run(key, start) {
      const current = running.get(key)
      if (current !== undefined) return current
      const started = start().finally(() => running.delete(key))
      running.set(key, started)
      return started
    },
    current: (key) => running.get(key),
  }
}
