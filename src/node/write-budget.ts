/**
 * The write budget: everything that a stranger, a client or a user can cause to be stored, how it is counted, its limit, and how
 * long it is kept. Each limit is imported from where it is enforced. For each new way to cause a stored row, add an entry to this
 * table and to the one in docs/security.md; `test/flows/write-budget.test.ts` drives each to its limit.
 */
import { CODE_LIMITS, LIMITS } from '../accounts/rate-limiter.ts'
import { WRITE_LIMITS, type WriteLimits } from '../accounts/write-limiter.ts'
import { IDEMPOTENCY_TTL } from '../admin/idempotency.ts'
import { ACTOR_BUDGET, type Budget, TOTAL_BUDGET } from '../audit/aggregation.ts'
import { MAX_VERIFIERS } from '../keys/known-verifiers.ts'
import { STRANGER_LIMITS } from '../oauth/authorize/signed-response.ts'
import {
  AUTHORIZATION_CODE_TTL,
  CLIENT_CLOCK_SKEW,
  DPOP_PROOF_MAX_AGE,
  MAX_CLIENT_JWT_LIFETIME,
  PUSHED_REQUEST_TTL,
} from '../oauth/lifetimes.ts'
import { PUBLIC_LIMITS } from '../oauth/par/pushed-requests.ts'
import { RETENTION } from '../store/retention.ts'
import type { Seconds } from '../system.ts'

export interface WriteBudget {
  /** What is done, as in docs/security.md. */
  readonly cause: string
  readonly by: 'stranger' | 'client' | 'user' | 'administrator'
  /** The tables that get rows. */
  readonly tables: readonly string[]
  readonly countedPer: 'IP prefix' | 'client' | 'user' | 'client session' | 'node' | 'administrator'
  /** `burst` at once and one more every `interval` seconds; a number is the largest number of rows at any time. */
  readonly limit: Budget | number
  /** The limit is one of `WRITE_LIMITS`, which tests reduce. */
  readonly kind?: keyof WriteLimits
  /** Rows that one event adds to all tables together. */
  readonly rowsEach: number
  /** Approximate number of bytes of the longest row. */
  readonly bytes: number
  /** The minimum time for which a row is kept; a text if a setting or the user determines it. */
  readonly kept: Seconds | string
  /** How long it is kept if it is used, where that differs. */
  readonly keptIfUsed?: string
}

/** The identifier of a proof is kept until the proof is too old. */
const KEPT_PROOF = DPOP_PROOF_MAX_AGE + CLIENT_CLOCK_SKEW + RETENTION.singleUse.seconds

export const WRITE_BUDGET = {
  guess: {
    cause: 'a wrong password, code or client secret',
    by: 'stranger',
    tables: ['rate_limits'],
    countedPer: 'IP prefix',
    limit: LIMITS.address,
    // One row for the account and prefix together, and one for the account. All guesses share the row of the prefix.
    rowsEach: 2,
    bytes: 200,
    kept: CODE_LIMITS.account.burst * CODE_LIMITS.account.interval,
  },
  publicPush: {
    cause: 'a pushed request of a public client',
    by: 'stranger',
    tables: ['rate_limits', 'single_use'],
    countedPer: 'IP prefix',
    limit: PUBLIC_LIMITS,
    // The second row is for its DPoP proof.
    rowsEach: 2,
    bytes: 200,
    kept: PUBLIC_LIMITS.burst * PUBLIC_LIMITS.interval,
  },
  signedResponse: {
    cause: 'a signed authorization response before sign-in',
    by: 'stranger',
    tables: ['rate_limits'],
    countedPer: 'IP prefix',
    limit: STRANGER_LIMITS,
    rowsEach: 1,
    bytes: 200,
    kept: STRANGER_LIMITS.burst * STRANGER_LIMITS.interval,
  },
  verifier: {
    cause: 'the name of a verifier',
    by: 'stranger',
    tables: ['verifiers'],
    countedPer: 'node',
    limit: 2 * MAX_VERIFIERS,
    rowsEach: 1,
    bytes: 300,
    kept: RETENTION.verifiers.seconds,
  },
  refusal: {
    cause: 'a refused request, in the audit log',
    by: 'stranger',
    tables: ['audit'],
    countedPer: 'node',
    limit: TOTAL_BUDGET,
    rowsEach: 1,
    bytes: 2000,
    kept: '`KEYTURN_AUDIT_RETENTION`',
  },
  login: {
    cause: 'a login',
    by: 'user',
    tables: ['user_sessions', 'client_sessions', 'known_locations', 'status_entries', 'logout_outbox'],
    countedPer: 'user',
    limit: WRITE_LIMITS.login,
    kind: 'login',
    // Either a user session or, with the password grant, a client session. A session that ends early leaves a status entry.
    rowsEach: 4,
    bytes: 1500,
    kept: 'the lifetime of the session, plus 1 day and up to 1 hour',
  },
  factorStep: {
    cause: 'a sign-in with a passkey, or a second factor that is set up',
    by: 'user',
    tables: ['single_use', 'user_sessions'],
    countedPer: 'user',
    limit: WRITE_LIMITS.factorStep,
    kind: 'factorStep',
    rowsEach: 2,
    bytes: 1500,
    kept: 'the lifetime of the session, plus 1 day and up to 1 hour',
  },
  code: {
    cause: 'an authorization code',
    by: 'user',
    tables: ['authorization_codes', 'client_sessions', 'status_entries', 'logout_outbox', 'single_use'],
    countedPer: 'user',
    limit: WRITE_LIMITS.code,
    kind: 'code',
    rowsEach: 5,
    bytes: 10_000,
    kept: AUTHORIZATION_CODE_TTL + RETENTION.codes.seconds,
    keptIfUsed: 'the lifetime of the session, plus 1 day and up to 1 hour',
  },
  action: {
    cause: 'an action of a user, in the audit log',
    by: 'user',
    tables: ['audit'],
    countedPer: 'user',
    limit: ACTOR_BUDGET,
    rowsEach: 1,
    bytes: 2000,
    kept: '`KEYTURN_AUDIT_RETENTION`',
  },
  sessionRevocation: {
    cause: 'the revocation of an access token of a session',
    by: 'client',
    tables: ['status_entries'],
    countedPer: 'client session',
    limit: WRITE_LIMITS.sessionRevocation,
    kind: 'sessionRevocation',
    rowsEach: 1,
    bytes: 200,
    kept: 'the lifetime of the session, plus 1 day and up to 1 hour',
  },
  revocation: {
    cause: 'the revocation of a token without a session',
    by: 'client',
    tables: ['revoked_tokens', 'status_entries'],
    countedPer: 'client',
    limit: WRITE_LIMITS.revocation,
    kind: 'revocation',
    rowsEach: 2,
    bytes: 200,
    kept: RETENTION.revokedTokens.seconds,
  },
  push: {
    cause: 'a kilobyte of the pushed requests of a confidential client',
    by: 'client',
    tables: ['pushed_requests'],
    countedPer: 'client',
    limit: WRITE_LIMITS.pushedKilobyte,
    kind: 'pushedKilobyte',
    rowsEach: 1,
    bytes: 2500,
    kept: PUSHED_REQUEST_TTL + RETENTION.pushedRequests.seconds,
  },
  assertion: {
    cause: 'a client assertion',
    by: 'client',
    tables: ['single_use'],
    countedPer: 'client',
    limit: WRITE_LIMITS.assertion,
    kind: 'assertion',
    rowsEach: 1,
    bytes: 200,
    kept: MAX_CLIENT_JWT_LIFETIME + RETENTION.singleUse.seconds,
  },
  proof: {
    cause: 'a DPoP proof of a confidential client',
    by: 'client',
    tables: ['single_use'],
    countedPer: 'client',
    limit: WRITE_LIMITS.proof,
    kind: 'proof',
    rowsEach: 1,
    bytes: 200,
    kept: KEPT_PROOF,
  },
  userProof: {
    cause: 'a DPoP proof of a public client, for tokens of a user',
    by: 'user',
    tables: ['single_use'],
    countedPer: 'user',
    limit: WRITE_LIMITS.userProof,
    kind: 'userProof',
    rowsEach: 1,
    bytes: 200,
    kept: KEPT_PROOF,
  },
  repeatable: {
    cause: 'a request with an `Idempotency-Key`',
    by: 'administrator',
    tables: ['idempotent_requests'],
    countedPer: 'administrator',
    limit: WRITE_LIMITS.repeatable,
    kind: 'repeatable',
    rowsEach: 1,
    // The answer is about as long as the longest body, and base64url adds a third.
    bytes: 400_000,
    kept: IDEMPOTENCY_TTL + RETENTION.idempotency.seconds,
  },
} as const satisfies Record<string, WriteBudget>
