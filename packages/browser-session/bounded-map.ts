/** A map that forgets: what is over, and when full, what was not used for longest. */
export interface BoundedMap<V> {
  get(key: string): V | undefined
  set(key: string, value: V, until: number): void
  delete(key: string): void
  readonly size: number
}

export function boundedMap<V>(most: number, clock: () => number): BoundedMap<V> {
  const entries = new Map<string, { readonly value: V; readonly until: number }>()

  // From the longest unused on. Live ones end the sweep: it is no full scan, and the bound holds without it.
  const sweep = (now: number) => {
    for (const [key, { until }] of entries) {
      if (until > now && entries.size <= most) return
      entries.delete(key)
    }
  }

  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      if (entry.until <= clock()) return undefined
      entries.set(key, entry)
      return entry.value
    },
    set(key, value, until) {
      entries.delete(key)
      entries.set(key, { value, until })
      sweep(clock())
    },
    delete(key) {
      entries.delete(key)
    },
    get size() {
      return entries.size
    },
  }
}
