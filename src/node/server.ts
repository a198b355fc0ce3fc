/**
 * Puts a server together on top of what base.ts opened. The only file that knows every part; must not decide anything that a
 * part could decide.
 */
import { availableParallelism } from 'node:os'
import { createOwnAccess } from '../accounts/account-sessions.ts'
import { createChangePassword } from '../accounts/change-password.ts'
import { createGate, type GateSize } from '../accounts/concurrency-limiter.ts'
import { createLogin } from '../accounts/login.ts'
import { createThrottle } from '../accounts/rate-limiter.ts'
import { createSecondFactors } from '../accounts/second-factors.ts'
import { createSignIns } from '../accounts/user-sessions.ts'
import { createChosenSecretVerifier } from '../accounts/user-supplied-secret.ts'
import type { Config } from '../config/load.ts'
import { STATUS_LISTS_PATH } from '../http/routes.ts'
import type { Services } from '../http/services.ts'
import { issuerBase, issuerPath } from '../issuer-path.ts'
import { createRootSealer } from '../keys/data-keys.ts'
import { createKnownVerifiers } from '../keys/known-verifiers.ts'
import { type LiveRing, openLiveRing } from '../keys/live-ring.ts'
import { createMacs } from '../keys/macs.ts'
import { ensureRing } from '../keys/rotate.ts'
import { createSigner } from '../keys/signer.ts'
import { createActiveTokens } from '../oauth/active-token.ts'
import { createAuthorize } from '../oauth/authorize/authorize.ts'
import { createFlowCodec } from '../oauth/authorize/flow.ts'
import { createRequestObjects } from '../oauth/authorize/request-object.ts'
import { createClientKeys } from '../oauth/client-auth/client-keys.ts'
import { createFetchJwks } from '../oauth/client-auth/fetch-jwks.ts'
import { createClientAuthentication } from '../oauth/client-auth/index.ts'
import { createSecretVerifier } from '../oauth/client-auth/secret.ts'
import { createGrants } from '../oauth/grants/index.ts'
import { createIntrospection } from '../oauth/introspection/introspection.ts'
import { createLogout } from '../oauth/logout/logout.ts'
import { createPushRequest } from '../oauth/par/pushed-requests.ts'
import { openRegistry, type Registry } from '../oauth/registry.ts'
import { createRevocation } from '../oauth/revocation/revocation.ts'
import { createTokenRequest } from '../oauth/token-request.ts'
import { createUserInfo } from '../oauth/userinfo/userinfo.ts'
import { createStatusIndices } from '../status/status-index-allocator.ts'
import { createStatusBoard } from '../status/status-list-cache.ts'
import { createStatusPublisher } from '../status/status-list-signer.ts'
import { createTokenIssuer } from '../tokens/issue.ts'
import { createRefreshTokenCodec } from '../tokens/refresh-token.ts'
import { untraced } from '../tracing/tracing.ts'
import { assetUrls, createAssets } from '../views/assets.ts'
import { createDuties } from './background-jobs.ts'
import type { Base, Keys, System } from './base.ts'
import type { Duties } from './change-poller.ts'
import { createFreshness } from './staleness.ts'

export interface ServerDeps {
  readonly base: Base
  readonly keys: Keys
  readonly ring: LiveRing
  readonly registry: Registry
  readonly services: Services
  readonly duties: Duties
}

export interface ServerOptions {
  /** Asked by /health/ready besides the store, e.g. whether the server is shutting down. */
  readonly problem?: () => string | null
}

/** At most half of the thread pool (keyturn.js says how large it is) hashes passwords; the others sign. */
const GATE: GateSize = { running: Math.max(1, Math.min(2, availableParallelism() >> 1)), waiting: 16 }

/** @throws {SealBroken} if the master key does not open the ring */
export async function openServer(
  base: Base,
  keys: Keys,
  system: System,
  options: ServerOptions = {},
): Promise<ServerDeps> {
  const { config, clock, random, audit, failpoint, store } = base
  const tracing = system.tracing ?? untraced
  const first = await ensureRing(keys)
  const ring = await openLiveRing({ ...keys, store, ages: base.time.ages }, first)
  const registry = await openRegistry({ store })
  const signer = tracing.signer(createSigner(ring, config.issuer))
  const { roots } = keys
  const refreshTokens = createRefreshTokenCodec(roots)
  const statusIndices = createStatusIndices({ status: store.status, clock, roots })
  const board = createStatusBoard({ status: store.status, indices: statusIndices, clock })
  await board.sync()
  const statusLists = createStatusPublisher({
    board,
    signer,
    clock,
    issuer: config.issuer,
    endpoint: issuerBase(config.issuer) + STATUS_LISTS_PATH,
    ttl: config.statusTtl,
  })
  const knownVerifiers = createKnownVerifiers({ verifiers: store.verifiers, clock, logger: system.logger })
  const issueTokens = createTokenIssuer({
    signer,
    refreshTokens,
    clock,
    random,
    issuer: config.issuer,
    statusIndices,
    statusUri: statusLists.uri,
  })

  const gate = tracing.gate(createGate(system.gateSize ?? GATE))
  const throttle = createThrottle({ ...store, clock, roots })
  const login = createLogin({ users: store.users, gate, throttle, audit })
  const secondFactors = createSecondFactors({
    ...store,
    throttle,
    clock,
    random,
    audit,
    roots,
    issuer: config.issuer,
    name: config.brandName,
  })
  const fetchJwks = tracing.fetchJwks(system.fetchJwks ?? createFetchJwks())
  const clientKeys = createClientKeys({ fetchJwks, clock })
  const authenticate = createClientAuthentication({
    secrets: createSecretVerifier(createChosenSecretVerifier({ gate, throttle, random })),
    clientKeys,
    singleUse: store.singleUse,
    issuer: config.issuer,
    registry,
    clock,
    audit,
  })
  const grants = createGrants({
    ...store,
    registry,
    login,
    refreshTokens,
    statusIndices,
    clock,
    random,
    audit,
    failpoint,
    config,
  })
  const tokens = {
    ...store,
    authenticate,
    registry,
    signer,
    refreshTokens,
    clock,
    audit,
    issuer: config.issuer,
    activeTokens: createActiveTokens({ ...store, registry }),
    statusIndices,
    listOf: statusLists.numberOf,
  }

  const requestObjects = createRequestObjects({ clientKeys, clock, issuer: config.issuer })
  const signIns = createSignIns({ ...store, clock, random, audit, config })
  const people = {
    authorize: createAuthorize({
      ...store,
      registry,
      requestObjects,
      secondFactors,
      signer,
      clock,
      random,
      audit,
      config,
    }),
    flows: createFlowCodec({
      sealer: createRootSealer(roots, random, { purpose: 'keyturn/seal-flows/v1', what: 'the flow' }),
      clock,
    }),
    logout: createLogout({ ...store, registry, signer }),
    signIns,
    login,
    changePassword: createChangePassword({ ...store, gate, login, signIns, audit }),
    ownAccess: createOwnAccess({ ...store, signInStore: store.signIns, signIns, clock, audit }),
    secondFactors,
    users: store.users,
    consents: store.consents,
    sessions: store.sessions,
    signInStore: store.signIns,
    registry,
    random,
    csrf: createMacs(roots, 'keyturn/csrf/v1'),
  }

  const freshness = createFreshness({
    ages: base.time.ages,
    async look() {
      await base.time.look()
      keys.holder.refresh()
      await ring.sync()
      await roots.sync()
      await registry.sync()
      await board.sync()
    },
  })

  const services: Services = {
    config,
    catchUp: freshness.catchUp,
    audit,
    ring,
    people,
    look: createLook(config),
    now: () => clock.now(),
    pushRequest: createPushRequest({
      ...store,
      authenticate,
      throttle,
      registry,
      requestObjects,
      clock,
      random,
      audit,
      config,
    }),
    tokenRequest: createTokenRequest({ authenticate, grants, issueTokens, audit, failpoint }),
    revocation: createRevocation(tokens),
    introspection: createIntrospection(tokens),
    userInfo: createUserInfo(tokens),
    statusLists,
    knownVerifiers,
    async readiness() {
      const problem = options.problem?.() ?? null
      if (problem !== null) return problem
      try {
        if ((await store.revisions.read()).ring === 0) return 'the key ring is gone'
      } catch {
        return 'the store does not answer'
      }
      return base.storeProblem()
    },
  }
  const duties = createDuties({
    base,
    keys,
    ring,
    registry,
    signer,
    system,
    async follow() {
      await freshness.look()
      await knownVerifiers.flush()
    },
  })
  system.metrics?.observe({
    store,
    ring,
    policy: keys.policy,
    clock,
    gate,
    audit: base.auditLog,
    statusLists,
    services,
  })
  return { base, keys, ring, registry, services, duties: tracing.duties(duties) }
}

function createLook({ issuer, brandName, brandColor, brandLogo }: Config): Services['look'] {
  const brand = { name: brandName, color: brandColor, logo: brandLogo }
  const files = createAssets(brand)
  return { brand, files, assets: assetUrls(files, issuerPath(issuer)) }
}
