/** Mounts the administration on a port: its API and its console, which are loaded when they are first used. */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Config } from '../config/load.ts'
import { issuerBase, issuerPath } from '../issuer-path.ts'
import { mountAdmin, mountConsole, type RequestId } from './admin/mount.ts'
import type { AppDeps, Pages } from './app-parts.ts'
import { CONNECTION_LIMITS, type ConnectionLimits, type Listener, listenerOptions } from './listener.ts'
import { trustedProxies } from './trusted-proxies.ts'

export async function mountAdministration(listener: Listener, deps: AppDeps, pages: Pages): Promise<void> {
  await mountAdminApi(listener, deps, pages, issuerBase(deps.server.base.config.issuer))
  await mountConsole(listener.app, pages.prefix, (requestId) =>
    openConsole(deps, pages, listener.isClosing, requestId),
  )
}

/** @param base what the URLs at this port begin with */
export const mountAdminApi = (
  listener: Listener,
  deps: AppDeps,
  { prefix }: Pages,
  base: string,
): Promise<void> =>
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
