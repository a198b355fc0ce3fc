/**
 * Puts the accounts together: users, passwords, second factors, user sessions, and the limits on guessing. Must not know HTTP,
 * pages or OAuth. A new part is a file beside this one and a member of `Accounts`.
 */
import { availableParallelism } from 'node:os'
import type { Audit } from '../audit/events.ts'
import type { Config } from '../config/load.ts'
import type { DataKeys } from '../keys/data-keys.ts'
import type { UserStore } from '../store/contracts/users.ts'
import type { Store } from '../store/index.ts'
import type { Clock, Random } from '../system.ts'
import { createOwnAccess, type OwnAccess } from './account-sessions.ts'
import { type ChangePassword, createChangePassword } from './change-password.ts'
import { createGate, type Gate, type GateSize } from './concurrency-limiter.ts'
import { createLogin, type Login } from './login.ts'
import { MAX_CONCURRENT_HASHES, MAX_WAITING_HASHES } from './password.ts'
import { createThrottle, type Throttle } from './rate-limiter.ts'
import { createSecondFactors, type SecondFactors } from './second-factors.ts'
import { createSignIns, type SignIns } from './user-sessions.ts'
import { createUserSuppliedSecretVerifier } from './user-supplied-secret.ts'

export interface Accounts {
  readonly users: Pick<UserStore, 'find'>
  readonly login: Login
  readonly secondFactors: SecondFactors
  readonly userSessions: SignIns
  readonly changePassword: ChangePassword
  /** What users see of their own sessions and consents, and end there. */
  readonly accountSessions: OwnAccess
  readonly rateLimiter: Throttle
  /** Hashing of passwords, which is expensive. */
  readonly passwordLimiter: Gate
  readonly verifySuppliedSecret: ReturnType<typeof createUserSuppliedSecretVerifier>
}

export interface AccountsDeps {
  readonly config: Pick<Config, 'issuer' | 'brandName' | 'refreshTokenTtl' | 'refreshIdleTtl'>
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly dataKeys: DataKeys
  readonly store: Pick<
    Store,
    'users' | 'factors' | 'singleUse' | 'signIns' | 'sessions' | 'consents' | 'throttle' | 'knownLocations'
  >
  readonly limiterSize?: GateSize | undefined
  readonly traceLimiter: (limiter: Gate) => Gate
}

/** At most half of the thread pool hashes passwords (keyturn.js says how large the pool is); the other half signs. */
const LIMITER_SIZE: GateSize = {
  running: Math.max(1, Math.min(MAX_CONCURRENT_HASHES, availableParallelism() >> 1)),
  waiting: MAX_WAITING_HASHES,
}

export function createAccounts(deps: AccountsDeps): Accounts {
  const { config, clock, random, audit, dataKeys, store, limiterSize = LIMITER_SIZE } = deps
  const { users, signIns, sessions, consents, factors, singleUse } = store
  const gate = deps.traceLimiter(createGate(limiterSize))
  const throttle = createThrottle({
    throttle: store.throttle,
    knownLocations: store.knownLocations,
    clock,
    dataKeys,
  })
  const login = createLogin({ users, gate, throttle, audit })
  const userSessions = createSignIns({ signIns, sessions, users, clock, random, audit, config })
  return {
    users,
    login,
    userSessions,
    secondFactors: createSecondFactors({
      factors,
      singleUse,
      throttle,
      clock,
      random,
      audit,
      dataKeys,
      issuer: config.issuer,
      name: config.brandName,
    }),
    changePassword: createChangePassword({ users, gate, login, signIns: userSessions, audit }),
    accountSessions: createOwnAccess({
      signInStore: signIns,
      signIns: userSessions,
      sessions,
      consents,
      clock,
      audit,
    }),
    rateLimiter: throttle,
    passwordLimiter: gate,
    verifySuppliedSecret: createUserSuppliedSecretVerifier({ gate, throttle, random }),
  }
}
