import type { OwnAccess } from '../accounts/account-sessions.ts'
import type { ChangePassword } from '../accounts/change-password.ts'
import type { Login } from '../accounts/login.ts'
import type { SecondFactors } from '../accounts/second-factors.ts'
import type { SignIns } from '../accounts/user-sessions.ts'
import type { Audit } from '../audit/events.ts'
import type { Config } from '../config/load.ts'
import type { KnownVerifiers } from '../keys/known-verifiers.ts'
import type { LiveRing } from '../keys/live-ring.ts'
import type { Macs } from '../keys/macs.ts'
import type { Authorize } from '../oauth/authorize/authorize.ts'
import type { FlowCodec } from '../oauth/authorize/flow.ts'
import type { Introspection } from '../oauth/introspection/introspection.ts'
import type { Logout } from '../oauth/logout/logout.ts'
import type { PushRequest } from '../oauth/par/pushed-requests.ts'
import type { Registry } from '../oauth/registry.ts'
import type { Revocation } from '../oauth/revocation/revocation.ts'
import type { TokenRequest } from '../oauth/token-request.ts'
import type { UserInfo } from '../oauth/userinfo/userinfo.ts'
import type { StatusPublisher } from '../status/status-list-signer.ts'
import type { SessionStore } from '../store/contracts/client-sessions.ts'
import type { ConsentStore } from '../store/contracts/consents.ts'
import type { SignInStore } from '../store/contracts/user-sessions.ts'
import type { UserStore } from '../store/contracts/users.ts'
import type { EpochSeconds, Random } from '../system.ts'
import type { Asset, AssetUrls } from '../views/assets.ts'
import type { Brand } from '../views/branding.ts'

/** What the pages need. */
export interface People {
  readonly authorize: Authorize
  readonly flows: FlowCodec
  readonly logout: Logout
  readonly signIns: SignIns
  readonly login: Login
  readonly changePassword: ChangePassword
  readonly ownAccess: OwnAccess
  readonly secondFactors: SecondFactors
  readonly users: UserStore
  readonly consents: ConsentStore
  readonly sessions: SessionStore
  readonly signInStore: SignInStore
  readonly registry: Registry
  readonly random: Pick<Random, 'bytes'>
  readonly csrf: Macs
}

/** How the pages look. */
export interface Look {
  readonly brand: Brand
  readonly files: readonly Asset[]
  readonly assets: AssetUrls
}

/** What endpoints are made of; everything below HTTP, already put together. */
export interface Services {
  readonly config: Config
  readonly audit: Audit
  readonly ring: LiveRing
  readonly tokenRequest: TokenRequest
  readonly pushRequest: PushRequest
  readonly people: People
  readonly look: Look
  readonly now: () => EpochSeconds
  /** undefined, as nearly always: what this node holds is fresh. Otherwise wait for it before answering. */
  readonly catchUp: () => Promise<void> | undefined
  readonly revocation: Revocation
  readonly introspection: Introspection
  readonly userInfo: UserInfo
  readonly statusLists: StatusPublisher
  readonly knownVerifiers: Pick<KnownVerifiers, 'served'>
  /** Whether the node can do its work now; the reason if not, for the log. */
  readonly readiness: () => Promise<string | null>
}
