/** Second factors on their own store, with two users, a clock and a log. */

import { createRateLimiter } from '../../../src/accounts/rate-limiter.ts'
import { createSecondFactors, type SecondFactors } from '../../../src/accounts/second-factors.ts'
import { createWriteLimiter } from '../../../src/accounts/write-limiter.ts'
import { createAudit } from '../../../src/audit/events.ts'
import type { User } from '../../../src/store/contracts/users.ts'
import type { Store } from '../../../src/store/index.ts'
import { systemRandom } from '../../../src/system.ts'
import {
  type Authenticator,
  type AuthenticatorOptions,
  createAuthenticator,
} from '../browser/authenticator.ts'
import { type TestClock, testClock } from './clock.ts'
import { dataKeysOf, MASTER_KEY, openStore } from './keys.ts'
import { type TestLogger, testLogger } from './log.ts'
import { user } from './seed.ts'

export const CONTEXT = { ip: '192.0.2.1', requestId: 'req-1' }
const FACTORS_ISSUER = 'https://login.example/auth'

export interface FactorsWorld {
  readonly store: Store
  readonly clock: TestClock
  readonly logger: TestLogger
  readonly factors: SecondFactors
  readonly alice: User
  readonly bob: User
  /** Second factors on the same store, with another data key. */
  withDataKey(secret: Buffer): SecondFactors
  /** A correct authenticator at the issuer’s origin. */
  device(options?: Partial<AuthenticatorOptions>): Authenticator
}

export async function factorsWorld(issuer = FACTORS_ISSUER): Promise<FactorsWorld> {
  const store = await openStore()
  const clock = testClock(1_800_000_000)
  const logger = testLogger()
  const [alice, bob] = [await user({ roles: [] }), await user({ username: 'bob', roles: [] })]
  await store.users.insert(alice)
  await store.users.insert(bob)

  const make = (secret: Buffer) =>
    createSecondFactors({
      writeLimiter: createWriteLimiter(clock),
      ...store,
      rateLimiter: createRateLimiter({ ...store, clock, dataKeys: dataKeysOf(secret) }),
      clock,
      random: systemRandom,
      audit: createAudit(logger),
      dataKeys: dataKeysOf(secret),
      issuer,
      name: 'Example: the company',
    })

  return {
    store,
    clock,
    logger,
    factors: make(MASTER_KEY),
    alice,
    bob,
    withDataKey: make,
    device: (options) =>
      createAuthenticator({ origin: new URL(issuer).origin, rpId: new URL(issuer).hostname, ...options }),
  }
}
