/**
 * Creates the HTTP server: (parts of the other folders, logger) → Fastify instance. Never listens and never reads the
 * environment, so that tests and the command line run the same server. The lists of endpoints and pages are routes.ts and
 * pages/index.ts.
 */
import type { FastifyInstance } from 'fastify'
import { issuerBase, issuerPath } from '../issuer-path.ts'
import { isLoopbackHost } from '../loopback.ts'
import { mountAdminApi, mountAdministration } from './administration.ts'
import { type AppDeps, type AppParts, type Pages, pagesOf } from './app-parts.ts'
import { enableCors } from './cors.ts'
import { assetEndpoint } from './endpoints/asset.ts'
import { CLIENT_LOGO_PATH, clientLogoEndpoint } from './endpoints/client-logo.ts'
import { live, ready } from './endpoints/health.ts'
import { jwksEndpoint } from './endpoints/jwks.ts'
import { metadataEndpoint } from './endpoints/metadata.ts'
import { localMetricsEndpoint } from './endpoints/metrics.ts'
import { statusAggregationEndpoint, statusListEndpoint } from './endpoints/status-list.ts'
import { sendFailure } from './failures.ts'
import { CONNECTION_LIMITS, createListener, type Listener } from './listener.ts'
import { DOCUMENT, notFoundHandler } from './methods.ts'
import { htmlNotFound } from './page-error.ts'
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
import { mtlsBase } from './tls/mtls-base.ts'

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

/** After a process was frozen, it must renew its view of the store before it answers the requests that have waited. */
function refreshFirst(app: FastifyInstance, refreshIfStale: AppParts['refreshIfStale']): void {
  app.addHook('preHandler', (_request, _reply, done) => {
    const refreshed = refreshIfStale()
    if (refreshed) refreshed.then(() => done(), done)
    else done()
  })
}
