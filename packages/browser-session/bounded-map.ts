/** A map whose entries expire. When it is full, the least recently used entry is dropped. */
interface BoundedMap<V> {
  get(key: string): V | undefined
  /** `expiresAt` is in seconds since 1970. */
  set(key: string, value: V, expiresAt: number): void
  delete(key: string): void
  readonly size: number
}

export function boundedMap<V>(maxSize: number, clock: () => number): BoundedMap<V> {
  const entries = new Map<string, { readonly value: V; readonly expiresAt: number }>()

  // Starts at the least recently used entry and stops at the first live one, so that it is not a full scan. Expired
  // entries behind a live one remain for a while, but never beyond the bound.
  const prune = (now: number) => {
    for (const [key, { expiresAt }] of entries) {
      if (expiresAt > now && entries.size <= maxSize) return
      entries.delete(key)
    }
  }

  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      if (entry.expiresAt <= clock()) return undefined
      entries.set(key, entry)
      return entry.value
    },
    set(key, value, expiresAt) {
      entries.delete(key)
      entries.set(key, { value, expiresAt })
      prune(clock())
    },
    delete(key) {
      entries.delete(key)
    },
    get size() {
      return entries.size
    },
  }
}
