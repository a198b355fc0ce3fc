/** The list of grants; a new one is a file and a line here. Dispatch, metadata and the CLI's choices follow. */

import type { Login } from '../../accounts/login.ts'
import type { Audit } from '../../audit/events.ts'
import type { Config } from '../../config/load.ts'
import type { StatusIndices } from '../../status/status-index-allocator.ts'
import type { SessionStore } from '../../store/contracts/client-sessions.ts'
import type { CodeStore } from '../../store/contracts/codes.ts'
import type { FactorStore } from '../../store/contracts/factors.ts'
import type { UserStore } from '../../store/contracts/users.ts'
import type { Clock, Random, ReachFailpoint } from '../../system.ts'
import type { RefreshTokenCodec } from '../../tokens/refresh-token.ts'
import type { Registry } from '../registry.ts'
import { authorizationCode } from './authorization-code.ts'
import { clientCredentials } from './client-credentials.ts'
import type { Grant } from './grant.ts'
import { password } from './password.ts'
import { refreshToken } from './refresh-token.ts'

export interface GrantDeps {
  readonly registry: Registry
  readonly login: Login
  readonly refreshTokens: RefreshTokenCodec
  readonly codes: CodeStore
  readonly sessions: SessionStore
  readonly users: UserStore
  readonly factors: Pick<FactorStore, 'summary'>
  readonly statusIndices: StatusIndices
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly failpoint: ReachFailpoint
  readonly config: Config
}

/** For metadata and the CLI; the same names as the list below, which a test compares. */
export const GRANT_NAMES = ['authorization_code', 'client_credentials', 'refresh_token', 'password'] as const

export function createGrants(deps: GrantDeps): readonly Grant[] {
  return [authorizationCode(deps), clientCredentials(deps), refreshToken(deps), password(deps)]
}
