/**
 * How many wrong guesses anybody gets. Three buckets: one account from one address, one address, one account.
 * The last would let a stranger keep somebody out, so addresses the account has signed in from are exempt, and
 * every bucket refills by itself. Must not know passwords.
 */
import { createHmac } from 'node:crypto'
import { KeyturnError } from '../errors.ts'
import type { DataKey, DataKeys } from '../keys/data-keys.ts'
import type { Bucket, KnownLocationStore, RateLimitStore } from '../store/contracts/rate-limits.ts'
import type { Clock, Seconds } from '../system.ts'
import { networkOf } from './ip-prefix.ts'
import { FAMILIAR_ADDRESS_TTL } from './lifetimes.ts'

/** Too many guesses; nothing was checked. */
export class RateLimited extends KeyturnError<'rate_limited'> {
  readonly retryAfter: Seconds
  constructor(retryAfter: Seconds) {
    super('rate_limited', 'too many attempts')
    this.retryAfter = retryAfter
  }
}

/** Guesses at once, and the seconds after which one more is allowed. */
export const LIMITS = {
  pair: { burst: 5, interval: 30 },
  address: { burst: 50, interval: 5 },
  account: { burst: 30, interval: 20 },
} as const

/**
 * For six digits, of which three are right at any time: whoever has the password and guesses without a pause gets
 * in with a chance below 1 in 1000 a day (NIST SP 800-63B §5.2.2).
 */
export const CODE_LIMITS = {
  pair: { burst: 5, interval: 300 },
  address: LIMITS.address,
  account: { burst: 10, interval: 600 },
} as const

type Limits = Readonly<Record<keyof typeof LIMITS, Omit<Bucket, 'key'>>>

interface Attempt {
  /** 0: go ahead; otherwise in how many seconds to try again. */
  readonly wait: Seconds
  /** It was the right password: this attempt does not count, and the place is known from now on. */
  succeeded(): Promise<void>
}

export interface RateLimiter {
  /** Counts an attempt before it is made, so that parallel ones cannot share a place. */
  attempt(account: string, ip: string, limits?: Limits): Promise<Attempt>
  /** Counts what one network does that needs no secret, apart from guesses. 0: go ahead; otherwise as `wait`. */
  spend(what: string, ip: string, limit: Pick<Bucket, 'burst' | 'interval'>): Promise<Seconds>
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
  // Counters start again with a new data key. Known places are found under every valid one, because their rows cannot be
  // looked up without knowing the data key that named them.
  const digest = (...parts: string[]) => digestOf(dataKeys.current(), parts)

  async function isFamiliar(account: string, place: string): Promise<boolean> {
    for (const dataKey of dataKeys.valid()) {
      if (await knownLocations.has(digestOf(dataKey, ['pair', account, place]), clock.now())) return true
    }
    return false
  }

  return {
    spend: (what, ip, limit) =>
      rateLimits.take([{ key: digest('spend', what, networkOf(ip)), ...limit }], clock.now()),

    async attempt(account, ip, limits = LIMITS) {
      const place = networkOf(ip)
      const pair = digest('pair', account, place)
      const buckets: Bucket[] = [
        { key: pair, ...limits.pair },
        { key: digest('address', place), ...limits.address },
      ]
      if (!(await isFamiliar(account, place))) {
        buckets.push({ key: digest('account', account), ...limits.account })
      }
      const wait = await rateLimits.take(buckets, clock.now())
      return {
        wait,
        async succeeded() {
          // At once, so that one flush to disk does for all.
          await Promise.all([
            rateLimits.refund(buckets.slice(1)),
            rateLimits.reset(pair),
            knownLocations.add(pair, clock.now() + FAMILIAR_ADDRESS_TTL),
          ])
        },
      }
    },
  }
}

/** Keyed, because a plain digest of an address can be reversed by trying all addresses. It names its data key. */
function digestOf(dataKey: DataKey, parts: readonly string[]): string {
  const key = dataKey.key('keyturn/rate-limits/v1')
  const digest = createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64url').slice(0, 27)
  return `${dataKey.number}.${digest}`
}
