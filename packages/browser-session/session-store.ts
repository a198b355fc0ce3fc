/** Where sessions are kept on the server. Values are sealed: a store's dump opens no door. */
import { boundedMap } from './bounded-map.ts'

export interface StoredSession {
  readonly value: string
  /** Grows with each `put`. */
  readonly version: number
  /** Seconds since 1970. */
  readonly expiresAt: number
}

/** For several processes: implement this on what they share, such as Redis or a database. */
export interface SessionStore {
  get(key: string): Promise<StoredSession | undefined>
  /** Compare-and-swap: writes version + 1 if `version` is what is there (0: nothing), and says whether it did. */
  put(key: string, value: string, expiresAt: number, version: number): Promise<boolean>
  /** A new end for what is there; no new version. */
  touch(key: string, expiresAt: number): Promise<void>
  delete(key: string): Promise<void>
}

export interface MemoryStoreOptions {
  /** When there are more, the longest unused go. Default: 10,000. */
  readonly most?: number
  /** Seconds since 1970; for tests. */
  readonly clock?: () => number
}

/** For one process; a restart signs everybody out. */
export function memoryStore(options: MemoryStoreOptions = {}): SessionStore {
  const sessions = boundedMap<StoredSession>(
    options.most ?? 10_000,
    options.clock ?? (() => Date.now() / 1000),
  )
  return {
    get: async (key) => sessions.get(key),
    async put(key, value, expiresAt, version) {
      if ((sessions.get(key)?.version ?? 0) !== version) return false
      sessions.set(key, { value, expiresAt, version: version + 1 }, expiresAt)
      return true
    },
    async touch(key, expiresAt) {
      const found = sessions.get(key)
      if (found !== undefined) sessions.set(key, { ...found, expiresAt }, expiresAt)
    },
    async delete(key) {
      sessions.delete(key)
    },
  }
}
