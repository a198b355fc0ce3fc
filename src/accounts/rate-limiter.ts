/**
 * Limits wrong guesses with three buckets: one account from one IP prefix, one IP prefix, and one account. With the last one alone,
 * a stranger could lock a user out. So locations from which the user has signed in are exempt from it, and every bucket refills
 * over time. Must not know passwords.
 */
import { createHmac } from 'node:crypto'
import { KeyturnError } from '../errors.ts'
import type { DataKey, DataKeys } from '../keys/data-keys.ts'
import type { Bucket, KnownLocationStore, RateLimitStore } from '../store/contracts/rate-limits.ts'
import type { Clock, Seconds } from '../system.ts'
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

/** `burst` guesses at once, then one more every `interval` seconds. */
export const LIMITS = {
  pair: { burst: 5, interval: 30 },
  address: { burst: 50, interval: 5 },
  account: { burst: 30, interval: 20 },
} as const

/**
 * For codes of six digits, three of which are correct at any time. An attacker who has the password and guesses without a pause
 * succeeds with a probability below 1 in 1000 a day (NIST SP 800-63B §5.2.2).
 */
export const CODE_LIMITS = {
  pair: { burst: 5, interval: 300 },
  address: LIMITS.address,
  account: { burst: 10, interval: 600 },
} as const

type Limits = Readonly<Record<keyof typeof LIMITS, Omit<Bucket, 'key'>>>

interface Attempt {
  /** 0 if the attempt is allowed; otherwise the seconds after which the caller may try again. */
  readonly retryAfter: Seconds
  /** Call if the guess was correct: returns the attempt to the buckets and stores the location as known. */
  succeeded(): Promise<void>
}

export interface RateLimiter {
  /** Counts an attempt before it is made, so that concurrent attempts cannot exceed the limit. */
  attempt(account: string, ip: string, limits?: Limits): Promise<Attempt>
  /** Counts an action that needs no secret, per IP prefix. Returns the seconds to wait; 0 if the action is allowed. */
  take(action: string, ip: string, limit: Pick<Bucket, 'burst' | 'interval'>): Promise<Seconds>
}

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
  // Counters start again with a new data key. Known locations are looked up with every valid data key, because the key of a row
  // depends on the data key that it was made with.
  const digest = (...parts: string[]) => digestOf(dataKeys.current(), parts)

  async function isKnownLocation(account: string, prefix: string): Promise<boolean> {
    for (const dataKey of dataKeys.valid()) {
      if (await knownLocations.has(digestOf(dataKey, ['pair', account, prefix]), clock.now())) return true
    }
    return false
  }

  return {
    take: (action, ip, limit) =>
      rateLimits.take([{ key: digest('action', action, ipPrefix(ip)), ...limit }], clock.now()),

    async attempt(account, ip, limits = LIMITS) {
      const prefix = ipPrefix(ip)
      const pair = digest('pair', account, prefix)
      const buckets: Bucket[] = [
        { key: pair, ...limits.pair },
        { key: digest('address', prefix), ...limits.address },
      ]
      if (!(await isKnownLocation(account, prefix))) {
        buckets.push({ key: digest('account', account), ...limits.account })
      }
      const retryAfter = await rateLimits.take(buckets, clock.now())
      return {
        retryAfter,
        async succeeded() {
          // Concurrent, so that the store can commit all three with one flush to disk.
          await Promise.all([
            rateLimits.refund(buckets.slice(1)),
            rateLimits.reset(pair),
            knownLocations.add(pair, clock.now() + KNOWN_LOCATION_TTL),
          ])
        },
      }
    },
  }
}

/** Keyed, because a plain digest of an address can be reversed by trying all addresses. Starts with the number of its data key. */
function digestOf(dataKey: DataKey, parts: readonly string[]): string {
  const key = dataKey.key('keyturn/rate-limits/v1')
  const digest = createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64url').slice(0, 27)
  return `${dataKey.number}.${digest}`
}
