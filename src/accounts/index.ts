/**
 * Composes the parts of accounts: users, passwords, second factors, user sessions, and the rate limits of guesses. Must not know
 * HTTP, pages or OAuth. A new part is a file in this folder and a member of `Accounts`.
 */
import type { Audit } from '../audit/events.ts'
import type { Config } from '../config/load.ts'
import type { DataKeys } from '../keys/data-keys.ts'
import type { UserStore } from '../store/contracts/users.ts'
import type { Store } from '../store/index.ts'
import type { Clock, Random } from '../system.ts'
import { type AccountSessions, createAccountSessions } from './account-sessions.ts'
import { type ChangePassword, createChangePassword } from './change-password.ts'
import {
  type ConcurrencyLimiter,
  type ConcurrencyLimits,
  createConcurrencyLimiter,
  type WorkKind,
} from './concurrency-limiter.ts'
import { concurrentHashes, MAX_WAITING_HASHES, thisMachine } from './hashing-limits.ts'
import { createLinkUse, type LinkUse } from './link-use.ts'
import { createLogin, type Login } from './login.ts'
import { createPasswordRules, type PasswordRules } from './password-rules.ts'
import { createRateLimiter, type RateLimiter } from './rate-limiter.ts'
import { createSecondFactors, type SecondFactors } from './second-factors.ts'
import { createUserSessions, type UserSessions } from './user-sessions.ts'
import { createUserSuppliedSecretVerifier } from './user-supplied-secret.ts'
import { createWriteLimiter, type WriteLimiter, type WriteLimits } from './write-limiter.ts'

export interface Accounts {
  readonly users: Pick<UserStore, 'find'>
  readonly login: Login
  readonly secondFactors: SecondFactors
  readonly userSessions: UserSessions
  readonly changePassword: ChangePassword
  readonly passwordRules: PasswordRules
  /** Used by the pages of one-time links. */
  readonly linkUse: LinkUse
  /** Used by the account page. */
  readonly accountSessions: AccountSessions
  readonly rateLimiter: RateLimiter
  readonly writeLimiter: WriteLimiter
  /** Limits concurrent password hashing. */
  readonly passwordLimiter: ConcurrencyLimiter
  readonly verifySuppliedSecret: ReturnType<typeof createUserSuppliedSecretVerifier>
}

export interface AccountsDeps {
  readonly config: Pick<
    Config,
    'issuer' | 'brandName' | 'minPasswordLength' | 'refreshTokenTtl' | 'refreshIdleTtl'
  >
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly dataKeys: DataKeys
  readonly store: Pick<
    Store,
    | 'users'
    | 'oneTimeLinks'
    | 'factors'
    | 'singleUse'
    | 'userSessions'
    | 'clientSessions'
    | 'consents'
    | 'rateLimits'
    | 'knownLocations'
  >
  readonly limiterSize?: ConcurrencyLimits | undefined
  readonly writeLimits?: WriteLimits | undefined
  readonly traceLimiter: (limiter: ConcurrencyLimiter) => ConcurrencyLimiter
}

/** For a process that hashes on its thread pool. `serve` passes its own limits. */
const LIMITER_SIZE: ConcurrencyLimits = {
  running: concurrentHashes({ ...thisMachine(), canYield: false }),
  waiting: MAX_WAITING_HASHES,
}

export function createAccounts(deps: AccountsDeps): Accounts {
  const { config, clock, random, audit, dataKeys, store, limiterSize = LIMITER_SIZE } = deps
  const { users, clientSessions, consents, factors, singleUse } = store
  const rateLimiter = createRateLimiter({
    rateLimits: store.rateLimits,
    knownLocations: store.knownLocations,
    clock,
    dataKeys,
  })
  const failuresFrom = (kind: WorkKind, prefix: string) =>
    rateLimiter.failuresFrom(kind === 'password' ? 'user' : 'client', prefix)
  const hashingLimiter = deps.traceLimiter(createConcurrencyLimiter(limiterSize, failuresFrom))
  const writeLimiter = createWriteLimiter(clock, deps.writeLimits)
  const login = createLogin({ users, hashingLimiter, rateLimiter, writeLimiter, audit })
  const userSessions = createUserSessions({
    userSessions: store.userSessions,
    clientSessions,
    users,
    clock,
    random,
    audit,
    config,
  })
  const passwordRules = createPasswordRules(config)
  const secondFactors = createSecondFactors({
    factors,
    singleUse,
    rateLimiter,
    writeLimiter,
    clock,
    random,
    audit,
    dataKeys,
    issuer: config.issuer,
    name: config.brandName,
  })
  return {
    users,
    passwordRules,
    login,
    userSessions,
    secondFactors,
    linkUse: createLinkUse({
      oneTimeLinks: store.oneTimeLinks,
      users,
      passwordRules,
      hashingLimiter,
      secondFactors,
      userSessions,
      clock,
      audit,
    }),
    changePassword: createChangePassword({
      users,
      passwordRules,
      hashingLimiter,
      login,
      userSessions,
      audit,
    }),
    accountSessions: createAccountSessions({
      userSessionStore: store.userSessions,
      userSessions,
      clientSessions,
      consents,
      clock,
      audit,
    }),
    rateLimiter,
    writeLimiter,
    passwordLimiter: hashingLimiter,
    verifySuppliedSecret: createUserSuppliedSecretVerifier({ hashingLimiter, rateLimiter, random }),
  }
}
