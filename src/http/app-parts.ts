/** What the HTTP servers of a process are made of, and what all of their pages need. */
import type { FastifyBaseLogger } from 'fastify'
import type { Accounts } from '../accounts/index.ts'
import type { Actor } from '../admin/actor.ts'
import type { Admin } from '../admin/admin.ts'
import type { ActOnce } from '../admin/idempotency.ts'
import type { Audit } from '../audit/events.ts'
import type { Config } from '../config/load.ts'
import { issuerPath } from '../issuer-path.ts'
import type { Signing } from '../keys/index.ts'
import type { Macs } from '../keys/macs.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { OAuth } from '../oauth/index.ts'
import type { Registry } from '../oauth/registry.ts'
import type { Status } from '../status/index.ts'
import type { ClientLogoStore } from '../store/contracts/client-logos.ts'
import type { Clock, Random } from '../system.ts'
import type { Tracing } from '../tracing/tracing.ts'
import { type Branding, createBranding } from '../views/assets.ts'
import { createPageCookies } from './cookies.ts'
import type { ConnectionLimits } from './listener.ts'
import type { PageRequestDeps } from './page-request.ts'
import type { TlsFiles } from './tls/files.ts'

/** The parts of the other folders; created by node/server.ts. */
export interface AppParts {
  readonly base: {
    readonly config: Config
    readonly clock: Clock
    readonly random: Random
    readonly audit: Audit
  }
  readonly registry: Registry
  readonly clientLogos: Pick<ClientLogoStore, 'find'>
  readonly signing: Pick<Signing, 'ring' | 'knownVerifiers'>
  readonly status: Pick<Status, 'lists'>
  readonly accounts: Accounts
  readonly oauth: OAuth
  /** Loads what administrators can do, when it is first used. */
  readonly openAdmin: () => Promise<(actor: Actor) => Admin>
  /** Loads what lets administrators repeat a request. */
  readonly openActOnce: () => Promise<ActOnce>
  /** MACs of the values that forms carry. */
  readonly formMacs: Macs
  /**
   * Returns undefined if this node's view of the store is fresh, as it usually is; otherwise a promise to await before responding.
   */
  readonly refreshIfStale: () => Promise<void> | undefined
  /** Resolves when this node's view has what was stored before the call. */
  readonly refresh: () => Promise<void>
  /** Why this node is not ready, for the log; null if it is ready. */
  readonly readiness: () => Promise<string | null>
}

export interface AppDeps {
  readonly server: AppParts
  readonly logger: FastifyBaseLogger
  readonly limits?: ConnectionLimits
  readonly metrics?: Metrics | undefined
  readonly tracing?: Tracing | undefined
  /** Without it the ports speak plain HTTP. */
  readonly tls?: TlsFiles | null
}

export function brandingOf(
  config: Pick<Config, 'issuer' | 'brandName' | 'brandColor' | 'brandLogo'>,
): Branding {
  const { brandName: name, brandColor: color, brandLogo: logo } = config
  return createBranding({ name, color, logo }, issuerPath(config.issuer))
}

export type Pages = PageRequestDeps & { readonly branding: Branding }

/** What every page needs. */
export function pagesOf({ base, accounts, oauth, formMacs }: AppParts): Pages {
  const { config, clock, random } = base
  return {
    prefix: issuerPath(config.issuer),
    branding: brandingOf(config),
    userSessions: accounts.userSessions,
    flows: oauth.flows,
    cookies: createPageCookies(config.issuer),
    formMacs,
    clock,
    random,
    sessionTtl: config.refreshTokenTtl,
  }
}
