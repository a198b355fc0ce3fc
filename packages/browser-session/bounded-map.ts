/**
 * A map whose entries expire. When it is full, the least recently used entry is dropped. Each owner has a bound too,
 * beyond which the owner's own entries are dropped, so that one user cannot displace the entries of all others.
 */
interface BoundedMap<V> {
  get(key: string): V | undefined
  /** `expiresAt` is in seconds since 1970. */
  set(key: string, value: V, expiresAt: number, owner?: string): void
  delete(key: string): void
  readonly size: number
}

interface Bounds {
  readonly maxSize: number
  readonly maxPerOwner?: number
}

interface Entry<V> {
  readonly value: V
  readonly expiresAt: number
  readonly owner: string | undefined
}

export function boundedMap<V>(
  { maxSize, maxPerOwner = maxSize }: Bounds,
  clock: () => number,
): BoundedMap<V> {
  // A Map and a Set keep the order of insertion, and each use inserts again: the first one is the least recently used.
  const entries = new Map<string, Entry<V>>()
  const keysOf = new Map<string, Set<string>>()

  function remove(key: string): Entry<V> | undefined {
    const entry = entries.get(key)
    if (entry === undefined) return undefined
    entries.delete(key)
    const keys = entry.owner === undefined ? undefined : keysOf.get(entry.owner)
    keys?.delete(key)
    if (keys?.size === 0 && entry.owner !== undefined) keysOf.delete(entry.owner)
    return entry
  }

  function add(key: string, entry: Entry<V>): void {
    entries.set(key, entry)
    if (entry.owner === undefined) return
    const keys = keysOf.get(entry.owner) ?? new Set()
    keysOf.set(entry.owner, keys.add(key))
    const [oldest] = keys
    if (keys.size > maxPerOwner && oldest !== undefined) remove(oldest)
  }

  // Starts at the least recently used entry and stops at the first live one, so that it is not a full scan. Expired
  // entries behind a live one remain for a while, but never beyond the bound.
  const prune = (now: number) => {
    for (const [key, { expiresAt }] of entries) {
      if (expiresAt > now && entries.size <= maxSize) return
      remove(key)
    }
  }

  return {
    get(key) {
      const entry = remove(key)
      if (entry === undefined || entry.expiresAt <= clock()) return undefined
      add(key, entry)
      return entry.value
    },
    set(key, value, expiresAt, owner) {
      remove(key)
      add(key, { value, expiresAt, owner })
      prune(clock())
    },
    delete(key) {
      remove(key)
    },
    get size() {
      return entries.size
    },
  }
}
