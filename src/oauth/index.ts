/**
 * Creates the parts of the protocol: the work of each endpoint, without HTTP. Must not know Fastify, pages or SQL. The work of
 * a new endpoint is a folder beside this file and a member of `OAuth`.
 */
import type { Accounts } from '../accounts/index.ts'
import type { Audit } from '../audit/events.ts'
import type { Config } from '../config/load.ts'
import { createTransitCipher, type DataKeys } from '../keys/data-keys.ts'
import { createMacs } from '../keys/macs.ts'
import type { Signer } from '../keys/signer.ts'
import type { Status } from '../status/index.ts'
import type { Store } from '../store/index.ts'
import type { Clock, Logger, Random, ReachFailpoint } from '../system.ts'
import type { Tokens } from '../tokens/index.ts'
import { createActiveTokens } from './active-token.ts'
import { type Authorize, createAuthorize } from './authorize/authorize.ts'
import { createFlowCodec, type FlowCodec } from './authorize/flow.ts'
import { createRequestObjects } from './authorize/request-object.ts'
import { createClientKeys, type FetchJwks } from './client-auth/client-keys.ts'
import { createClientAuthentication } from './client-auth/index.ts'
import { createSecretVerifier } from './client-auth/secret.ts'
import { createSecretUses, type SecretUses } from './client-auth/secret-uses.ts'
import { createProveKey } from './dpop/index.ts'
import { createDpopNonces } from './dpop/nonces.ts'
import { createGrants } from './grants/index.ts'
import { createIntrospection, type Introspection } from './introspection/introspection.ts'
import { createLogout, type Logout } from './logout/logout.ts'
import type { ClientAuthorities } from './mtls/client-authorities.ts'
import { createCarriedRequests } from './par/carried-requests.ts'
import { createPushRequest, type PushRequest } from './par/pushed-requests.ts'
import { createVerifyAccessToken, type VerifyAccessToken } from './protected-resource.ts'
import type { Registry } from './registry.ts'
import { createRevocation, type Revocation } from './revocation/revocation.ts'
import { createProveSender } from './sender-proof.ts'
import { createSessionRights } from './session-rights.ts'
import { createTokenRequest, type TokenRequest } from './token-request.ts'
import { createUserInfo, type UserInfo } from './userinfo/userinfo.ts'

export interface OAuth {
  readonly authorize: Authorize
  /** Encrypts and decrypts the flows that browsers carry from page to page. */
  readonly flows: FlowCodec
  readonly tokenRequest: TokenRequest
  readonly pushRequest: PushRequest
  readonly revocation: Revocation
  readonly introspection: Introspection
  readonly verifyAccessToken: VerifyAccessToken
  readonly userInfo: UserInfo
  readonly logout: Logout
  readonly secretUses: Pick<SecretUses, 'flush'>
}

export interface OAuthDeps {
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly failpoint: ReachFailpoint
  readonly logger: Pick<Logger, 'warn'>
  readonly store: Pick<
    Store,
    | 'clients'
    | 'codes'
    | 'clientSessions'
    | 'users'
    | 'factors'
    | 'consents'
    | 'pushedRequests'
    | 'revokedTokens'
    | 'singleUse'
  >
  readonly dataKeys: DataKeys
  readonly signer: Signer
  readonly registry: Registry
  readonly accounts: Pick<
    Accounts,
    'login' | 'secondFactors' | 'rateLimiter' | 'writeLimiter' | 'verifySuppliedSecret'
  >
  readonly status: Status
  readonly tokens: Tokens
  readonly fetchJwks: FetchJwks
  readonly clientAuthorities: ClientAuthorities | null
}

export function createOAuth(deps: OAuthDeps): OAuth {
  const { config, clock, random, audit, failpoint, store, dataKeys, signer, registry, accounts } = deps
  const { codes, clientSessions, users, factors, consents, pushedRequests, revokedTokens, singleUse } = store
  const { login, secondFactors, rateLimiter, writeLimiter } = accounts
  const { refreshTokens, issueTokens } = deps.tokens
  const statusIndexAllocator = deps.status.indices
  const { issuer } = config

  const clientKeys = createClientKeys({ fetchJwks: deps.fetchJwks, clock })
  const secretUses = createSecretUses({ clients: store.clients, logger: deps.logger })
  const secrets = createSecretVerifier({
    verifyUserSupplied: accounts.verifySuppliedSecret,
    secretUses,
    clock,
  })
  const authenticate = createClientAuthentication({
    secrets,
    clientKeys,
    clientAuthorities: deps.clientAuthorities,
    writeLimiter,
    singleUse,
    issuer,
    registry,
    clock,
    audit,
  })
  const proveKey = createProveKey({
    nonces: createDpopNonces(createMacs(dataKeys, 'keyturn/dpop-nonces/v1'), clock),
    singleUse,
    writeLimiter,
    clock,
    config,
  })
  const requestObjects = createRequestObjects({ clientKeys, clock, issuer })
  const carriedRequests = createCarriedRequests(
    createTransitCipher(dataKeys, random, {
      purpose: 'keyturn/pushed-requests/v1',
      what: 'the pushed request',
    }),
  )
  const rights = createSessionRights({ registry, config })
  const activeTokens = createActiveTokens({
    registry,
    rights,
    clientSessions,
    revokedTokens,
    status: deps.status,
  })
  const grants = createGrants({
    rights,
    registry,
    login,
    refreshTokens,
    codes,
    clientSessions,
    users,
    factors,
    statusIndexAllocator,
    clock,
    random,
    audit,
    failpoint,
    config,
  })
  const verifyAccessToken = createVerifyAccessToken({ signer, activeTokens, proveKey, clock, issuer })
  const presentedTokens = { signer, refreshTokens, clock, issuer }

  return {
    authorize: createAuthorize({
      registry,
      rights,
      users,
      codes,
      consents,
      singleUse,
      pushedRequests,
      carriedRequests,
      requestObjects,
      secondFactors,
      signer,
      clock,
      rateLimiter,
      writeLimiter,
      random,
      audit,
      config,
    }),
    flows: createFlowCodec({
      cipher: createTransitCipher(dataKeys, random, { purpose: 'keyturn/flows/v1', what: 'the flow' }),
      clock,
    }),
    tokenRequest: createTokenRequest({
      authenticate,
      grants,
      proveSender: createProveSender({ proveKey, clock }),
      issueTokens,
      audit,
      failpoint,
    }),
    pushRequest: createPushRequest({
      authenticate,
      proveKey,
      rateLimiter,
      writeLimiter,
      registry,
      pushedRequests,
      carriedRequests,
      requestObjects,
      clock,
      random,
      audit,
      config,
    }),
    revocation: createRevocation({
      ...presentedTokens,
      authenticate,
      clientSessions,
      revokedTokens,
      writeLimiter,
      statusIndexAllocator,
      listNumber: deps.status.lists.numberOf,
      audit,
    }),
    introspection: createIntrospection({
      ...presentedTokens,
      authenticate,
      activeTokens,
      audit,
    }),
    verifyAccessToken,
    userInfo: createUserInfo({ verifyAccessToken, audit }),
    logout: createLogout({ signer, registry, clientSessions }),
    secretUses,
  }
}
