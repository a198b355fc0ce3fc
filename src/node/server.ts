/**
 * Composes a server from what base.ts and `openKeys` opened: each folder creates its own parts, and this file passes them to the
 * next folder. Must not make decisions that a part could make. A new part is created in the index.ts of its folder.
 */

import { createAccounts } from '../accounts/index.ts'
import type { AppParts } from '../http/app-parts.ts'
import { STATUS_LISTS_PATH } from '../http/routes.ts'
import { issuerBase } from '../issuer-path.ts'
import { createSigning, type Keys } from '../keys/index.ts'
import { createMacs } from '../keys/macs.ts'
import { createFetchJwks } from '../oauth/client-auth/fetch-jwks.ts'
import { createOAuth } from '../oauth/index.ts'
import { openClientAuthorities } from '../oauth/mtls/client-authorities.ts'
import { openRegistry } from '../oauth/registry.ts'
import { createStatus } from '../status/index.ts'
import { createTokens } from '../tokens/index.ts'
import { untraced } from '../tracing/tracing.ts'
import { type BackgroundJobs, createBackgroundJobs } from './background-jobs.ts'
import type { Base, System } from './base.ts'
import { adminOpener } from './open-admin.ts'
import { createReadiness } from './readiness.ts'
import { createStaleness } from './staleness.ts'
import { createViews } from './views.ts'

export interface Server extends AppParts {
  readonly base: Base
  readonly keys: Keys
  readonly jobs: BackgroundJobs
}

/**
 * @param problem returns why the process cannot serve, for example because it is stopping; null if it can
 * @throws {DecryptionError} if the master key is wrong
 */
export async function openServer(
  base: Base,
  keys: Keys,
  system: System,
  problem: () => string | null = () => null,
): Promise<Server> {
  const { config, clock, clusterClock, random, audit, failpoint, store } = base
  const { issuer, statusTtl: ttl } = config
  const { logger, hashingLimits: limiterSize, writeLimits, tracing = untraced } = system
  const { ages } = clusterClock
  const { dataKeys } = keys

  const traceSigner = tracing.signer
  const signing = await createSigning({ keys, store, clock, ages, issuer, logger, traceSigner })
  const { ring, signer, knownVerifiers } = signing
  const registry = await openRegistry({ store })
  const endpoint = issuerBase(issuer) + STATUS_LISTS_PATH
  const status = await createStatus({ store, clock, dataKeys, signer, issuer, endpoint, ttl })
  const signingAlgOf = (audience: string) => registry.api(audience)?.signingAlg ?? null
  const tokens = createTokens({ signer, dataKeys, status, clock, random, issuer, signingAlgOf })

  const traceLimiter = tracing.hashingLimiter
  const shared = { config, clock, random, audit, dataKeys, store }
  const accounts = createAccounts({ ...shared, limiterSize, writeLimits, traceLimiter })
  const fetchJwks = tracing.fetchJwks(system.fetchJwks ?? createFetchJwks())
  const clientAuthorities = await openClientAuthorities(config, logger)
  const parts = { signer, registry, accounts, status, tokens, fetchJwks, clientAuthorities }
  const oauth = createOAuth({ ...shared, ...parts, failpoint, logger })

  const views = createViews({ clusterClock, store, ring, dataKeys, registry, statusLists: status.cache })
  const staleness = createStaleness({ ages, poll: views.look })
  const { refreshIfStale, refresh } = staleness
  const { secretUses } = oauth
  const plainJobs = createBackgroundJobs({
    base,
    keys,
    ring,
    registry,
    signer,
    knownVerifiers,
    secretUses,
    system,
    views,
    staleness,
  })
  const jobs = tracing.jobs(plainJobs)
  const readiness = createReadiness(base, problem)
  const formMacs = createMacs(dataKeys, 'keyturn/csrf/v1')
  system.metrics?.observe({
    store,
    ring,
    policy: keys.policy,
    clock,
    hashingLimiter: accounts.passwordLimiter,
    audit: base.auditLog,
    statusLists: status.lists,
    readiness,
  })
  const openActOnce = async () => {
    const { createActOnce } = await import('../admin/idempotency.ts')
    const { writeLimiter } = accounts
    return createActOnce({ ...shared, store: store.idempotency, writeLimiter, failpoint, logger })
  }
  return {
    base,
    keys,
    jobs,
    openAdmin: adminOpener(base, keys, accounts.passwordLimiter),
    openActOnce,
    registry,
    clientLogos: store.clientLogos,
    signing,
    status,
    accounts,
    oauth,
    formMacs,
    refreshIfStale,
    refresh,
    readiness,
  }
}
