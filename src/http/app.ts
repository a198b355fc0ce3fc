/**
 * Creates the HTTP server: (parts of the other folders, logger) → Fastify instance. Never listens and never reads the
 * environment, so that tests and the command line run the same server. The lists of endpoints and pages are routes.ts and
 * pages/index.ts.
 */
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Accounts } from '../accounts/index.ts'
import type { Actor } from '../admin/actor.ts'
import type { Admin } from '../admin/admin.ts'
import type { ActOnce } from '../admin/idempotency.ts'
import type { Audit } from '../audit/events.ts'
import type { Config } from '../config/load.ts'
import { issuerBase, issuerPath } from '../issuer-path.ts'
import type { Signing } from '../keys/index.ts'
import type { Macs } from '../keys/macs.ts'
import { isLoopbackHost } from '../loopback.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { OAuth } from '../oauth/index.ts'
import type { Registry } from '../oauth/registry.ts'
import type { Status } from '../status/index.ts'
import type { ClientLogoStore } from '../store/contracts/client-logos.ts'
import type { Clock, Random } from '../system.ts'
import type { Tracing } from '../tracing/tracing.ts'
import { type Branding, createBranding } from '../views/assets.ts'
import { mountAdmin, mountConsole, type RequestId } from './admin/mount.ts'
import { limitConnections } from './connection-limit.ts'
import { createPageCookies } from './cookies.ts'
import { enableCors } from './cors.ts'
import { assetEndpoint } from './endpoints/asset.ts'
import { CLIENT_LOGO_PATH, clientLogoEndpoint } from './endpoints/client-logo.ts'
import { live, ready } from './endpoints/health.ts'
import { jwksEndpoint } from './endpoints/jwks.ts'
import { metadataEndpoint } from './endpoints/metadata.ts'
import { localMetricsEndpoint, metricsEndpoint } from './endpoints/metrics.ts'
import { statusAggregationEndpoint, statusListEndpoint } from './endpoints/status-list.ts'
import { sendFailure } from './failures.ts'
import {
  CONNECTION_LIMITS,
  type ConnectionLimits,
  createListener,
  type Listener,
  listenerOptions,
} from './listener.ts'
import { DOCUMENT, notFoundHandler } from './methods.ts'
import { htmlNotFound } from './page-error.ts'
import type { PageRequestDeps } from './page-request.ts'
import { pageScope } from './page-scope.ts'
import { pageRoutes } from './pages/index.ts'
import { type ProtocolRoute, protocolScope } from './protocol.ts'
import {
  JWKS_PATH,
  METRICS_PATH,
  metadataPaths,
  protocolEndpoints,
  STATUS_AGGREGATION_PATH,
  STATUS_LISTS_PATH,
} from './routes.ts'
import type { TlsFiles } from './tls/files.ts'
import { mtlsBase } from './tls/mtls-base.ts'
import { trustedProxies } from './trusted-proxies.ts'

/** Limit of the port that serves only metrics. */
const MAX_METRICS_CONNECTIONS = 100

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

export async function createApp(deps: AppDeps): Promise<FastifyInstance> {
  const { server, metrics } = deps
  const { signing, status } = server
  const { config } = server.base
  const pages = pagesOf(server)
  const { prefix } = pages
  const listener = openListener(deps, pages)
  const { app } = listener
  metrics?.observeConnections(listener.connections)
  await registerProtocol(listener, server, issuerBase(config.issuer))

  await app.register(async (scope) => {
    enableCors(scope)
    refreshFirst(scope, server.refreshIfStale)
    const metadata = metadataEndpoint(config, protocolEndpoints, signing.ring)
    scope.get(prefix + JWKS_PATH, DOCUMENT, jwksEndpoint(signing))
    scope.get(
      prefix + STATUS_AGGREGATION_PATH,
      DOCUMENT,
      statusAggregationEndpoint(status.lists, config.statusTtl),
    )
    scope.get(
      `${prefix}${STATUS_LISTS_PATH}/:number`,
      DOCUMENT,
      statusListEndpoint(status.lists, config.statusTtl),
    )
    for (const path of metadataPaths(prefix)) scope.get(path, DOCUMENT, metadata)
  })
  await registerPages(app, server, pages)
  if (config.admin && config.adminPort === null) await mountAdministration(listener, deps, pages)

  app.get('/health/live', DOCUMENT, live)
  app.get('/health/ready', DOCUMENT, ready(server.readiness))
  // Local metrics exist only where users reach this machine directly: behind a proxy, outside requests may look like local ones.
  if (metrics && config.metricsPort === null && isLoopbackHost(new URL(config.issuer).hostname))
    app.get(METRICS_PATH, DOCUMENT, localMetricsEndpoint(metrics))
  return app
}

/** A port of this server, whose responses to what no route accepts are pages for browsers. */
function openListener(
  { server, logger, limits = CONNECTION_LIMITS, metrics, tracing, tls }: AppDeps,
  pages: Pages,
  asksForCertificates = false,
): Listener {
  const { config, random } = server.base
  const { prefix } = pages
  const listener = createListener({
    config,
    random,
    logger,
    limits,
    metrics,
    tracing,
    prefix,
    tls,
    asksForCertificates,
  })
  listener.app.setErrorHandler(sendFailure)
  notFoundHandler(listener.app, htmlNotFound(pages))
  return listener
}

/**
 * The endpoints for programs.
 * @param base what the public URLs of the endpoints begin with
 */
async function registerProtocol(listener: Listener, server: AppParts, base: string): Promise<void> {
  const { app, clientCertificateOf } = listener
  const { config, audit } = server.base
  const prefix = issuerPath(config.issuer)
  for (const cors of [true, false]) {
    const routes = protocolEndpoints
      .filter((endpoint) => endpoint.cors === cors)
      .map(
        ({ path, failureEvent, status = 200, needsToken, handler }): ProtocolRoute => ({
          url: prefix + path,
          endpoint: base + path,
          failureEvent,
          status,
          needsToken,
          handler: handler(server.oauth),
        }),
      )
    await app.register(async (scope) => {
      if (cors) enableCors(scope)
      refreshFirst(scope, server.refreshIfStale)
      await scope.register((inner) => protocolScope(inner, routes, audit, clientCertificateOf))
    })
  }
}

/**
 * The port of KEYTURN_MTLS_PORT (RFC 8705 §5): the endpoints at which clients authenticate or use tokens. It is the only port that asks
 * for certificates, because a browser that is asked for one asks its user.
 */
export async function createMtlsApp(deps: AppDeps): Promise<FastifyInstance> {
  const { server } = deps
  const pages = pagesOf(server)
  const listener = openListener(deps, pages, true)
  const { config } = server.base
  const base = mtlsBase(config) ?? issuerBase(config.issuer)
  await registerProtocol(listener, server, base)
  if (config.admin && config.adminPort === null) await mountAdminApi(listener, deps, pages, base)
  return listener.app
}

type Pages = PageRequestDeps & { readonly branding: Branding }

/** What every page needs. */
function pagesOf({ base, accounts, oauth, formMacs }: AppParts): Pages {
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

/** The pages with which users sign in and manage their account, and the files that all pages load. */
async function registerPages(app: FastifyInstance, server: AppParts, pages: Pages): Promise<void> {
  await app.register(async (scope) => {
    refreshFirst(scope, server.refreshIfStale)
    await scope.register((inner) => pageScope(inner, pages, pageRoutes(server)))
  })
  app.get(`${pages.prefix}${CLIENT_LOGO_PATH}/:hash`, DOCUMENT, clientLogoEndpoint(server.clientLogos))
  for (const file of pages.branding.files) app.get(pages.prefix + file.path, DOCUMENT, assetEndpoint(file))
}

/**
 * The port of KEYTURN_ADMIN_PORT: it serves the administration, and the pages to sign in to the console, because cookies of the main
 * port reach this one only if both have one host name.
 */
export async function createAdminApp(deps: AppDeps): Promise<FastifyInstance> {
  const pages = pagesOf(deps.server)
  const listener = openListener(deps, pages)
  await registerPages(listener.app, deps.server, pages)
  await mountAdministration(listener, deps, pages)
  return listener.app
}

async function mountAdministration(listener: Listener, deps: AppDeps, pages: Pages): Promise<void> {
  await mountAdminApi(listener, deps, pages, issuerBase(deps.server.base.config.issuer))
  await mountConsole(listener.app, pages.prefix, (requestId) =>
    openConsole(deps, pages, listener.isClosing, requestId),
  )
}

/** @param base what the URLs at this port begin with */
const mountAdminApi = (listener: Listener, deps: AppDeps, { prefix }: Pages, base: string): Promise<void> =>
  mountAdmin(listener.app, prefix, (requestId) => openAdminApi(deps, listener, base, requestId))

/** Loads the console; `mountConsole` calls it once. */
async function openConsole(
  { server, logger, limits = CONNECTION_LIMITS }: AppDeps,
  pages: Pages,
  isClosing: () => boolean,
  requestId: RequestId,
): Promise<FastifyInstance> {
  const { accounts, registry, refreshIfStale, refresh, base } = server
  const { createConsole } = await import('./admin/console/index.ts')
  const admin = await server.openAdmin()
  const actOnce = await server.openActOnce()
  const { secondFactors } = accounts
  return createConsole(
    {
      pages,
      admin,
      actOnce,
      secondFactors,
      registry,
      random: base.random,
      audit: base.audit,
      refreshIfStale,
      refresh,
      isClosing,
    },
    innerOptions(base.config, logger, limits, requestId),
  )
}

/** Options of an instance that gets its requests from a listener. */
const innerOptions = (
  { trustProxy }: Config,
  logger: FastifyBaseLogger,
  limits: ConnectionLimits,
  requestId: RequestId,
) => ({
  ...listenerOptions(logger, limits),
  trustProxy: trustProxy === 0 ? false : trustedProxies(trustProxy),
  genReqId: requestId,
})

/** Loads the routes of the administration; `mountAdmin` calls it once. */
async function openAdminApi(
  { server, logger, limits = CONNECTION_LIMITS }: AppDeps,
  { isClosing, clientCertificateOf }: Listener,
  base: string,
  requestId: RequestId,
): Promise<FastifyInstance> {
  const { config, audit } = server.base
  const { createAdminApi } = await import('./admin/api.ts')
  return createAdminApi(
    {
      issuer: config.issuer,
      prefix: issuerPath(config.issuer),
      admin: await server.openAdmin(),
      actOnce: await server.openActOnce(),
      verifyAccessToken: server.oauth.verifyAccessToken,
      clientCertificateOf,
      base,
      audit,
      refreshIfStale: server.refreshIfStale,
      refresh: server.refresh,
      isClosing,
    },
    innerOptions(config, logger, limits, requestId),
  )
}

/** After a process was frozen, it must renew its view of the store before it answers the requests that have waited. */
function refreshFirst(app: FastifyInstance, refreshIfStale: AppParts['refreshIfStale']): void {
  app.addHook('preHandler', (_request, _reply, done) => {
    const refreshed = refreshIfStale()
    if (refreshed) refreshed.then(() => done(), done)
    else done()
  })
}

export interface MetricsAppDeps {
  readonly metrics: Metrics
  /** Whether the port listens on a loopback address. */
  readonly localOnly: boolean
  readonly logger: FastifyBaseLogger
  readonly limits?: ConnectionLimits
}

/** A separate server that only serves metrics: every client that can reach its port can read them. */
export function createMetricsApp({
  metrics,
  localOnly,
  logger,
  limits = CONNECTION_LIMITS,
}: MetricsAppDeps): FastifyInstance {
  const app = Fastify({ ...listenerOptions(logger, limits) })
  limitConnections(app.server, MAX_METRICS_CONNECTIONS, () => false)
  notFoundHandler(app, () => false)
  app.get(METRICS_PATH, DOCUMENT, metricsEndpoint(metrics, localOnly))
  return app
}
