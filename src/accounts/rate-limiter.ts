/**
 * Limits wrong guesses with three buckets: one account from one IP prefix, one IP prefix, and one account. The bucket per
 * account would let a stranger lock a user out, so locations from which the user has signed in are exempt from it, and every bucket
 * refills over time. A refusal is remembered until the bucket admits the next attempt, so that further refused attempts cause no
 * queries and do not wait in a queue. Logins with a correct password have a limit too: `login` in `write-limiter.ts`. Must not
 * know passwords.
 */
import { createHmac } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { KeyturnError } from '../errors.ts'
import type { DataKey, DataKeys } from '../keys/data-keys.ts'
import type { Bucket, KnownLocationStore, RateLimitStore } from '../store/contracts/rate-limits.ts'
import type { Clock, EpochSeconds, Seconds } from '../system.ts'
import { createConcurrencyLimiter } from './concurrency-limiter.ts'
import { createFailedAttempts } from './failed-attempts.ts'
import { ipPrefix } from './ip-prefix.ts'
import { KNOWN_LOCATION_TTL } from './lifetimes.ts'

/** Too many guesses. Nothing was checked. */
export class RateLimited extends KeyturnError<'rate_limited'> {
  readonly retryAfter: Seconds
  constructor(retryAfter: Seconds) {
    super('rate_limited', 'too many attempts')
    this.retryAfter = retryAfter
  }
}

type Limit = Pick<Bucket, 'burst' | 'interval'>

type Scope = 'user' | 'client'

interface Limits {
  /** One account from one IP prefix. */
  readonly pair: Limit
  /** One IP prefix. Limits with the same `scope` share this bucket. */
  readonly address: Limit & { readonly scope: Scope }
  /** One account from all locations that are not known. If null, there is no such bucket, so strangers cannot empty it. */
  readonly account: Limit | null
}

/** `burst` guesses at once, then one more every `interval` seconds. */
export const LIMITS = {
  pair: { burst: 5, interval: 30 },
  address: { scope: 'user', burst: 50, interval: 5 },
  account: { burst: 30, interval: 20 },
} as const satisfies Limits

/**
 * Limits of guesses at six-digit codes. Three codes are correct at any time. An attacker who has the password and guesses
 * without a pause succeeds with a probability below 1 in 1000 a day (NIST SP 800-63B §5.2.2).
 */
export const CODE_LIMITS = {
  pair: { burst: 5, interval: 300 },
  address: LIMITS.address,
  account: { burst: 10, interval: 600 },
} as const satisfies Limits

/**
 * Limits of guesses at user-supplied client secrets. These have at least 16 characters, so limits by IP prefix are enough against
 * guessing. With a limit by client, strangers on many networks could lock out a client at a new address.
 */
export const CLIENT_SECRET_LIMITS = {
  pair: { burst: 20, interval: 10 },
  address: { scope: 'client', burst: 100, interval: 5 },
  account: null,
} as const satisfies Limits

/** A guess that has not been checked yet. */
interface Guess {
  /** Whether the account has been used from this IP prefix before. */
  readonly knownLocation: boolean
  /**
   * Counts the guess. Call it immediately before the guess is checked, so that concurrent guesses cannot exceed the limit, and
   * correct guesses in a queue are not counted. Returns 0 if the guess is allowed; otherwise the seconds to wait.
   */
  count(): Promise<Seconds>
  /** Call if the guess was correct: gives the attempt back to the buckets and stores the location as known. */
  succeeded(): Promise<void>
}

export interface RateLimiter {
  /**
   * Prepares a guess without counting it. Returns the seconds to wait if a remembered refusal applies.
   * @throws {Overloaded} if too many locations are being looked up
   */
  prepare(account: string, ip: string, limits: Limits): Promise<Guess | { readonly retryAfter: Seconds }>
  /** How many guesses from an IP prefix have failed lately, as far as this node knows. */
  failuresFrom(scope: Scope, prefix: string): number
  /** Counts an action that needs no secret, per IP prefix. Returns the seconds to wait; 0 if the action is allowed. */
  take(action: string, ip: string, limit: Limit): Promise<Seconds>
}

/**
 * How many refusals are remembered. Beyond that, the least recently used ones are forgotten, and their next attempts cause a
 * query.
 */
const MAX_REMEMBERED = 10_000

/**
 * Known locations are looked up before a guess enters a queue, so lookups have their own limit: guesses must not use all
 * connections of the pool. A lookup is fast, so many can wait.
 */
const LOOKUPS = { running: 2, waiting: 1000 } as const

export interface RateLimiterDeps {
  readonly rateLimits: RateLimitStore
  readonly knownLocations: KnownLocationStore
  readonly clock: Clock
  readonly dataKeys: Pick<DataKeys, 'current' | 'valid'>
}

export function createRateLimiter({
  rateLimits,
  knownLocations,
  clock,
  dataKeys,
}: RateLimiterDeps): RateLimiter {
  const refusals = createRefusals(clock)
  const lookups = createConcurrencyLimiter(LOOKUPS)
  const failed = { user: createFailedAttempts(clock), client: createFailedAttempts(clock) }

  // Counters start again with a new data key. Known locations are looked up with every valid data key, because the key of a row
  // depends on the data key that it was made with.
  const digest = (...parts: string[]) => digestOf(dataKeys.current(), parts)

  async function isKnownLocation(account: string, prefix: string): Promise<boolean> {
    for (const dataKey of dataKeys.valid()) {
      if (await knownLocations.has(digestOf(dataKey, ['pair', account, prefix]), clock.now())) return true
    }
    return false
  }

  async function take(buckets: readonly Bucket[]): Promise<Seconds> {
    const knownWait = refusals.retryAfter(buckets)
    if (knownWait > 0) return knownWait
    const retryAfter = await rateLimits.take(buckets, clock.now())
    if (retryAfter > 0) refusals.remember(buckets, await rateLimits.waits(buckets, clock.now()))
    return retryAfter
  }

  return {
    failuresFrom: (scope, prefix) => failed[scope].count(prefix),

    take: (action, ip, limit) => take([{ key: digest('action', action, ipPrefix(ip)), ...limit }]),

    async prepare(account, ip, limits) {
      const prefix = ipPrefix(ip)
      const pair: Bucket = { key: digest('pair', account, prefix), ...limits.pair }
      const { scope, ...address } = limits.address
      const shared: Bucket[] = [{ key: digest('address', scope, prefix), ...address }]
      const prefixWait = refusals.retryAfter([pair, ...shared])
      if (prefixWait > 0) return { retryAfter: prefixWait }
      const lookup = () => isKnownLocation(account, prefix)
      const knownLocation = await lookups.run(lookup, { kind: 'password', ip, knownLocation: false })
      if (!knownLocation && limits.account)
        shared.push({ key: digest('account', account), ...limits.account })
      const retryAfter = refusals.retryAfter(shared)
      if (retryAfter > 0) return { retryAfter }
      return {
        knownLocation,
        async count() {
          const wait = await take([pair, ...shared])
          if (wait === 0) failed[scope].add(prefix)
          return wait
        },
        async succeeded() {
          failed[scope].remove(prefix)
          refusals.forget([pair, ...shared])
          // Concurrent, so that the store can commit all three with one flush to disk.
          await Promise.all([
            rateLimits.refund(shared),
            rateLimits.reset(pair.key),
            knownLocations.add(pair.key, clock.now() + KNOWN_LOCATION_TTL),
          ])
        },
      }
    },
  }
}

/** The refusals that this node remembers. */
function createRefusals(clock: Clock) {
  const refusals = new LRUCache<string, { readonly at: EpochSeconds; readonly until: EpochSeconds }>({
    max: MAX_REMEMBERED,
  })
  return {
    /** The longest wait of all buckets; 0 if no refusal is remembered. */
    retryAfter(buckets: readonly Bucket[]): Seconds {
      const now = clock.now()
      let maxWait = 0
      for (const { key } of buckets) {
        const refusal = refusals.get(key)
        if (refusal === undefined) continue
        // If the clock was set back, the wait is unknown, so the store decides again.
        if (now < refusal.at || now >= refusal.until) refusals.delete(key)
        else maxWait = Math.max(maxWait, refusal.until - now)
      }
      return maxWait
    },

    remember(buckets: readonly Bucket[], waits: readonly Seconds[]): void {
      const at = clock.now()
      for (const [i, { key }] of buckets.entries()) {
        const wait = waits[i] ?? 0
        if (wait > 0) refusals.set(key, { at, until: at + wait })
      }
    },

    forget(buckets: readonly Bucket[]): void {
      for (const { key } of buckets) refusals.delete(key)
    },
  }
}

/** Keyed, because a plain digest of an address can be reversed by trying all addresses. Starts with the number of its data key. */
function digestOf(dataKey: DataKey, parts: readonly string[]): string {
  const key = dataKey.key('keyturn/rate-limits/v1')
  const digest = createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64url').slice(0, 27)
  return `${dataKey.number}.${digest}`
}
