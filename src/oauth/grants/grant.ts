/**
 * The contract of a grant (RFC 6749 §1.3): it decides what the client may have, and never issues a token. Owns
 * nothing; must not know HTTP, client authentication or how tokens are written. A new grant is a file beside this
 * one and a line in index.ts.
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
import type { RefreshTokenCodec } from '../../tokens/refresh-token.ts'
import type { Authorization } from '../authorization.ts'
import type { Parameters } from '../parameters.ts'
import type { SessionRights } from '../session-rights.ts'

/** Everything that grants are built from; each factory picks what it needs. */
export interface GrantDeps {
  readonly rights: SessionRights
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
  /** Authenticated, and registered for this grant. */
  readonly client: Client
  readonly parameters: Parameters
  readonly ip: string
  readonly requestId: string
}

export interface Grant {
  /** Confidential clients only (RFC 6749 §4.4). */
  readonly confidentialOnly?: true
  /**
   * Refuses a request that cannot succeed whatever the store says, such as one with a refresh token that this
   * server never wrote. It runs before client authentication, because that may cost look-ups, a password hash or
   * the single use of a client assertion.
   * @throws {OAuthError}
   */
  precheck?(parameters: Parameters): Promise<void>
  /** @throws {OAuthError}; nothing has changed then, except what the error itself is about */
  authorize(request: GrantRequest): Promise<Authorization>
}
