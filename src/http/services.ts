import type { Audit } from '../audit.ts'
import type { Config } from '../config/load.ts'
import type { KnownVerifiers } from '../keys/known-verifiers.ts'
import type { LiveRing } from '../keys/live-ring.ts'
import type { Introspection } from '../oauth/introspection.ts'
import type { Revocation } from '../oauth/revocation.ts'
import type { TokenRequest } from '../oauth/token-request.ts'
import type { UserInfo } from '../oauth/userinfo.ts'
import type { StatusPublisher } from '../status/publisher.ts'

/** What endpoints are made of; everything below HTTP, already put together. */
export interface Services {
  readonly config: Config
  readonly audit: Audit
  readonly ring: LiveRing
  readonly tokenRequest: TokenRequest
  readonly revocation: Revocation
  readonly introspection: Introspection
  readonly userInfo: UserInfo
  readonly statusLists: StatusPublisher
  readonly knownVerifiers: Pick<KnownVerifiers, 'served'>
  /** Whether the node can do its work now; the reason if not, for the log. */
  readonly readiness: () => Promise<string | null>
}
