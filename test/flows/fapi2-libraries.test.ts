/**
 * openid-client and oauth4webapi, which are certified for FAPI 2.0, as they are: every combination of authentication, bound tokens and
 * algorithm, over TLS sockets, from discovery to introspection.
 */
import { calculateJwkThumbprint, exportJWK } from 'jose'
import * as oauth from 'oauth4webapi'
import * as oidc from 'openid-client'
import t from 'tap'
import { withProfile } from '../../src/oauth/client-registration/fapi2.ts'
import { checkRegistration } from '../../src/oauth/client-registration/registration.ts'
import type { Client } from '../../src/store/contracts/clients.ts'
import { openBrowser } from '../support/browser/browser.ts'
import { codeClient, completePages, seedUsers, WEB_REDIRECT } from '../support/browser/sign-in.ts'
import { runningClock } from '../support/server/clock.ts'
import { claimsOf } from '../support/server/requests.ts'
import { tlsServer } from '../support/server/tls.ts'

const ALGORITHMS = ['PS256', 'ES256', 'EdDSA'] as const
type Alg = (typeof ALGORITHMS)[number]

const { server, authority, issuer, fetch } = await tlsServer(t, {
  clock: runningClock(),
  settings: { ALGORITHMS: `${ALGORITHMS.join(' ')} RS256` },
})
const { alice } = await seedUsers(server.store)
const SCOPE = 'openid profile offline_access orders:read'

interface Combination {
  readonly auth: 'private_key_jwt' | 'tls_client_auth'
  readonly bound: 'dpop' | 'mtls'
}

const COMBINATIONS: readonly Combination[] = [
  { auth: 'private_key_jwt', bound: 'dpop' },
  { auth: 'private_key_jwt', bound: 'mtls' },
  { auth: 'tls_client_auth', bound: 'mtls' },
]

/** A client as its operator would register and configure it. */
async function registered({ auth, bound }: Combination, alg: Alg, suffix: string) {
  const id = `${auth}-${bound}-${alg}-${suffix}`.toLowerCase()
  const keys = await oauth.generateKeyPair(alg)
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'one', use: 'sig' }
  const certificate = await authority.issue({ dns: [`${id.replaceAll('_', '-')}.test`] })
  const chosen: Partial<Client> = {
    authMethod: auth,
    profile: 'fapi2',
    idTokenSigningAlg: alg,
    authorizationSignedResponseAlg: alg,
    introspectionSignedResponseAlg: alg,
    ...(auth === 'tls_client_auth'
      ? { tlsSubject: { kind: 'san_dns', value: `${id.replaceAll('_', '-')}.test` } as const }
      : { jwks: { keys: [jwk] } }),
    ...(bound === 'mtls' ? { requireMtlsBound: true } : {}),
  }
  const { revision, ...client } = withProfile(
    codeClient({ id, secrets: [], redirectUris: [WEB_REDIRECT], ...chosen }),
    new Set(Object.keys(chosen) as (keyof Client)[]),
    ALGORITHMS,
  )
  checkRegistration(client)
  await server.store.clients.insert(client)
  return { id, keys, certificate, withCertificate: bound === 'mtls' }
}

async function callbackOf(url: string): Promise<URL> {
  const at = openBrowser(server)
  const { away, status, body } = await completePages(at, await at.open(url))
  if (!away) throw new Error(`the browser was not redirected: ${status} ${body}`)
  return new URL(away.url)
}

/** What the token is bound to must be the key or the certificate of the client. */
const confirmationOf = (token: string) => claimsOf(token).cnf as Record<string, string>
const algOf = (jwt: string): string =>
  JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()).alg

for (const combination of COMBINATIONS) {
  for (const alg of ALGORITHMS) {
    const what = `${combination.auth}, tokens bound by ${combination.bound}, ${alg}`

    t.test(`openid-client: ${what}`, async (t) => {
      const { id, keys, certificate, withCertificate } = await registered(combination, alg, 'oidc')
      const key = { key: keys.privateKey, kid: 'one' }
      const authentication =
        combination.auth === 'tls_client_auth' ? oidc.TlsClientAuth() : oidc.PrivateKeyJwt(key)
      const metadata = {
        use_mtls_endpoint_aliases: withCertificate,
        id_token_signed_response_alg: alg,
        authorization_signed_response_alg: alg,
        introspection_signed_response_alg: alg,
      }
      const customFetch = fetch(withCertificate ? certificate : undefined) as oidc.CustomFetch
      const config = await oidc.discovery(new URL(issuer), id, metadata, authentication, {
        [oidc.customFetch]: customFetch,
      })
      oidc.useJwtResponseMode(config)
      const pair = await oidc.randomDPoPKeyPair(alg)
      const proven = combination.bound === 'dpop' ? { DPoP: oidc.getDPoPHandle(config, pair) } : {}
      const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
      const expectedState = oidc.randomState()
      const url = await oidc.buildAuthorizationUrlWithPAR(
        config,
        {
          redirect_uri: WEB_REDIRECT,
          scope: SCOPE,
          state: expectedState,
          nonce: 'n',
          code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
          code_challenge_method: 'S256',
        },
        proven,
      )
      t.same([...url.searchParams.keys()].sort(), ['client_id', 'request_uri'])
      const callback = await callbackOf(url.href)
      t.same([...callback.searchParams.keys()], ['response'])
      const checks = { pkceCodeVerifier, expectedState, expectedNonce: 'n' }
      const tokens = await oidc.authorizationCodeGrant(config, callback, checks, undefined, proven)
      t.equal(algOf(String(tokens.id_token)), alg)
      const expected =
        combination.bound === 'dpop'
          ? { jkt: await calculateJwkThumbprint(await exportJWK(pair.publicKey)) }
          : { 'x5t#S256': certificate.thumbprint }
      t.same(confirmationOf(tokens.access_token), expected)
      t.equal(tokens.token_type, combination.bound === 'dpop' ? 'dpop' : 'bearer')

      const refreshToken = String(tokens.refresh_token)
      for (const round of ['first', 'second']) {
        const next = await oidc.refreshTokenGrant(config, refreshToken, undefined, proven)
        t.same(confirmationOf(next.access_token), expected, round)
        t.match(await oidc.fetchUserInfo(config, next.access_token, alice.id, proven), { sub: alice.id })
        t.match(await oidc.tokenIntrospection(config, next.access_token), { active: true, cnf: expected })
      }
      const plain = await oidc.discovery(new URL(issuer), id, {}, authentication, {
        [oidc.customFetch]: fetch() as oidc.CustomFetch,
      })
      await t.rejects(oidc.fetchUserInfo(plain, tokens.access_token, alice.id), 'without the key')
      await t.rejects(oidc.refreshTokenGrant(plain, refreshToken), 'without the key')
    })

    t.test(`oauth4webapi: ${what}`, async (t) => {
      const { id, keys, certificate, withCertificate } = await registered(combination, alg, 'oauth')
      const customFetch = fetch(withCertificate ? certificate : undefined)
      const http = { [oauth.customFetch]: customFetch as never }
      const at = new URL(issuer)
      const as = await oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, http))
      const client: oauth.Client = {
        client_id: id,
        use_mtls_endpoint_aliases: withCertificate,
        id_token_signed_response_alg: alg,
        authorization_signed_response_alg: alg,
        introspection_signed_response_alg: alg,
      }
      const authentication =
        combination.auth === 'tls_client_auth'
          ? oauth.TlsClientAuth()
          : oauth.PrivateKeyJwt({ key: keys.privateKey, kid: 'one' })
      const pair = await oauth.generateKeyPair(alg)
      const proven = { ...http, ...(combination.bound === 'dpop' ? { DPoP: oauth.DPoP(client, pair) } : {}) }

      const verifier = oauth.generateRandomCodeVerifier()
      const state = oauth.generateRandomState()
      const parameters = new URLSearchParams({
        client_id: id,
        response_type: 'code',
        redirect_uri: WEB_REDIRECT,
        scope: SCOPE,
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      })
      const { request_uri } = await oauth.processPushedAuthorizationResponse(
        as,
        client,
        await oauth.pushedAuthorizationRequest(as, client, authentication, parameters, proven),
      )
      const url = `${as.authorization_endpoint}?${new URLSearchParams({ client_id: id, request_uri })}`
      const checked = oauth.validateAuthResponse(as, client, await callbackOf(url), state)
      const tokens = await oauth.processAuthorizationCodeResponse(
        as,
        client,
        await oauth.authorizationCodeGrantRequest(
          as,
          client,
          authentication,
          checked,
          WEB_REDIRECT,
          verifier,
          proven,
        ),
        { requireIdToken: true },
      )
      t.equal(algOf(String(tokens.id_token)), alg)
      const expected =
        combination.bound === 'dpop'
          ? { jkt: await calculateJwkThumbprint(await exportJWK(pair.publicKey)) }
          : { 'x5t#S256': certificate.thumbprint }
      t.same(confirmationOf(tokens.access_token), expected)
      const next = await oauth.processRefreshTokenResponse(
        as,
        client,
        await oauth.refreshTokenGrantRequest(
          as,
          client,
          authentication,
          String(tokens.refresh_token),
          proven,
        ),
      )
      const info = await oauth.userInfoRequest(as, client, next.access_token, proven)
      t.match(await oauth.processUserInfoResponse(as, client, alice.id, info), { sub: alice.id })
      const introspected = await oauth.introspectionRequest(as, client, authentication, next.access_token, {
        ...http,
        requestJwtResponse: true,
      })
      t.equal(introspected.headers.get('content-type'), 'application/token-introspection+jwt')
      const answer = await oauth.processIntrospectionResponse(as, client, introspected)
      t.match(answer, { active: true, sub: alice.id, cnf: expected })
      await oauth.validateApplicationLevelSignature(as, introspected, http)
    })
  }
}
