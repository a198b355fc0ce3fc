/** The store that keeps sessions on the server. Values are encrypted and keys are hashed, so a copy gives no access. */
import { boundedMap } from './bounded-map.ts'

export interface StoredSession {
  readonly value: string
  /** Grows by one with each `put`. */
  readonly version: number
  /** Seconds since 1970. */
  readonly expiresAt: number
}

/** If the service runs as several processes, implement this on storage that they share, such as Redis or a database. */
export interface SessionStore {
  /** May return an expired session: the caller checks `expiresAt`. */
  get(key: string): Promise<StoredSession | undefined>
  /**
   * Compare-and-swap: stores the value with `version + 1` if the stored version is `version` (0: nothing is stored), and
   * returns whether it did. `expiresAt` is in seconds since 1970. `user` is a hash that all sessions of a user share, so
   * that a store can bound them.
   */
  put(key: string, value: string, expiresAt: number, version: number, user: string): Promise<boolean>
  /** Changes when a stored session expires. The version stays unchanged. */
  touch(key: string, expiresAt: number): Promise<void>
  delete(key: string): Promise<void>
}

export interface MemoryStoreOptions {
  /** When there are more sessions, the least recently used are dropped. Default: 10,000. */
  readonly maxSessions?: number
  /**
   * When a user has more sessions, the least recently used ones of this user are dropped, so that other users keep their
   * sessions. Default: 50.
   */
  readonly maxSessionsPerUser?: number
  /** Seconds since 1970; for tests. */
  readonly clock?: () => number
}

/** A store for one process. A restart signs all users out. */
export function memoryStore(options: MemoryStoreOptions = {}): SessionStore {
  const sessions = boundedMap<StoredSession & { readonly user: string }>(
    { maxSize: options.maxSessions ?? 10_000, maxPerOwner: options.maxSessionsPerUser ?? 50 },
    options.clock ?? (() => Date.now() / 1000),
  )
  return {
    get: async (key) => sessions.get(key),
    async put(key, value, expiresAt, version, user) {
      if ((sessions.get(key)?.version ?? 0) !== version) return false
      sessions.set(key, { value, expiresAt, version: version + 1, user }, expiresAt, user)
      return true
    },
    async touch(key, expiresAt) {
      const found = sessions.get(key)
      if (found !== undefined) sessions.set(key, { ...found, expiresAt }, expiresAt, found.user)
    },
    async delete(key) {
      sessions.delete(key)
    },
  }
}
