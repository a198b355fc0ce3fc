/**
 * The contract of a grant (RFC 6749 §1.3): it decides what the client gets, and never issues tokens. Must not know HTTP, client
 * authentication or the format of tokens. A new grant is a file beside this one and a line in index.ts.
 */
import type { Login } from '../../accounts/login.ts'
import type { Audit } from '../../audit/events.ts'
import type { Config } from '../../config/load.ts'
import type { StatusIndexAllocator } from '../../status/status-index-allocator.ts'
import type { ClientSessionStore } from '../../store/contracts/client-sessions.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { CodeStore } from '../../store/contracts/codes.ts'
import type { FactorStore } from '../../store/contracts/factors.ts'
import type { UserStore } from '../../store/contracts/users.ts'
import type { Clock, Random, ReachFailpoint } from '../../system.ts'
import type { Confirmation } from '../../tokens/confirmation.ts'
import type { RefreshTokenCodec } from '../../tokens/refresh-token.ts'
import type { Authorization } from '../authorization.ts'
import type { Parameters } from '../parameters.ts'
import type { Registry } from '../registry.ts'
import type { SessionRights } from '../session-rights.ts'

/** The dependencies of all grants. Each factory takes those that it needs. */
export interface GrantDeps {
  readonly rights: SessionRights
  readonly registry: Pick<Registry, 'client'>
  readonly login: Login
  readonly refreshTokens: RefreshTokenCodec
  readonly codes: CodeStore
  readonly clientSessions: ClientSessionStore
  readonly users: UserStore
  readonly factors: Pick<FactorStore, 'summary'>
  readonly statusIndexAllocator: StatusIndexAllocator
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly failpoint: ReachFailpoint
  readonly config: Pick<Config, 'accessTokenTtl' | 'refreshTokenTtl' | 'refreshIdleTtl' | 'refreshGrace'>
}

export interface GrantRequest {
  /** The client is authenticated and registered for this grant. */
  readonly client: Client
  readonly parameters: Parameters
  /** What the sender has proven; the access token is bound to it. */
  readonly confirmation: Confirmation | null
  readonly ip: string
  readonly requestId: string
}

export interface Grant {
  /** Only confidential clients may use the grant (RFC 6749 §4.4). */
  readonly confidentialOnly?: true
  /**
   * Refuses a request that cannot succeed, without using the store, such as one with a forged refresh token. It runs before
   * client authentication, which may cost queries, a password hash or the single use of a client assertion.
   * @throws {OAuthError}
   */
  precheck?(parameters: Parameters): Promise<void>
  /** @throws {OAuthError} without side effects, except for those of a detected attack */
  authorize(request: GrantRequest): Promise<Authorization>
}
