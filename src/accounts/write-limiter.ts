/**
 * Limits what one client, user or session can cause to be stored. Kept in the memory of a node: a limit that wrote to the store
 * would itself be a write for each request. So a cluster of three nodes allows three times the limit. Must not know what is
 * written. `src/node/write-budget.ts` lists all limits, and how many rows they allow in total.
 */
import type { Clock, EpochSeconds, Seconds } from '../system.ts'

/** `burst` writes at once, then one more every `interval` seconds, which may be a fraction. */
export interface WriteLimit {
  readonly burst: number
  readonly interval: Seconds
}

/** Normal use never reaches these limits. They keep a client that loops from filling the disk. */
export const WRITE_LIMITS = {
  /** Logins of one user, on the login page and with the password grant. Each begins a session and adds rows to the audit log. */
  login: { burst: 5000, interval: 10 },
  /** Sign-ins with a passkey, and second factors that one user sets up. */
  factorStep: { burst: 1000, interval: 10 },
  /** Authorization codes for one user. Each can begin a client session. */
  code: { burst: 2000, interval: 10 },
  /** Revocations of single access tokens of one client session. A revocation beyond this limit ends the session. */
  sessionRevocation: { burst: 20, interval: 3600 },
  /** Access tokens without a session that one client revokes. */
  revocation: { burst: 10_000, interval: 1 },
  /** Kilobytes of the requests that one confidential client pushes. */
  pushedKilobyte: { burst: 20_000, interval: 0.01 },
  /** Client assertions of one client, which are stored so that each is accepted once. */
  assertion: { burst: 50_000, interval: 0.002 },
  /** DPoP proofs of one confidential client, which are stored so that each is accepted once. */
  proof: { burst: 50_000, interval: 0.002 },
  /** DPoP proofs for the tokens of one user of public clients. */
  userProof: { burst: 5000, interval: 1 },
  /** Requests with an `Idempotency-Key` of one administrator, whose answers are stored for a day. */
  repeatable: { burst: 10_000, interval: 1 },
} as const satisfies Record<string, WriteLimit>

type WriteKind = keyof typeof WRITE_LIMITS
export type WriteLimits = Readonly<Record<WriteKind, WriteLimit>>

export interface WriteLimiter {
  /** Counts a write. Returns the seconds after which to try again; 0 if the write is allowed. */
  take(kind: WriteKind, id: string, cost?: number): Seconds
}

/**
 * Writes are counted per client, user or session, which strangers cannot create. The least recently used bucket is dropped first.
 */
const MAX_BUCKETS = 100_000

export function createWriteLimiter(
  clock: Clock,
  limits: WriteLimits = WRITE_LIMITS,
  maxBuckets = MAX_BUCKETS,
): WriteLimiter {
  /** When each bucket is full again (generic cell rate algorithm), the least recently used bucket first. */
  const fullAt = new Map<string, EpochSeconds>()

  return {
    take(kind, id, cost = 1) {
      const { burst, interval } = limits[kind]
      const now = clock.now()
      const key = `${kind}\n${id}`
      const full = fullAt.get(key) ?? now
      // If `full` is later than even an empty bucket allows, the clock was set back; then the bucket starts full.
      const time = (full - now > burst * interval ? now : Math.max(full, now)) + cost * interval
      const wait = time - now - burst * interval
      if (wait > 0) return Math.max(1, Math.ceil(wait))
      fullAt.delete(key)
      fullAt.set(key, time)
      const [oldest] = fullAt.keys()
      if (fullAt.size > maxBuckets && oldest !== undefined) fullAt.delete(oldest)
      return 0
    },
  }
}
