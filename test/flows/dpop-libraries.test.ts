/** openid-client and oauth4webapi with DPoP, as they are (RFC 9449): public and confidential clients, each kind of key, with and without nonces. */
import { calculateJwkThumbprint, exportJWK } from 'jose'
import * as oauth from 'oauth4webapi'
import * as oidc from 'openid-client'
import t from 'tap'
import { completePages, SPA_REDIRECT, WEB_REDIRECT } from '../support/browser/sign-in.ts'
import { openidServer } from '../support/issuers/keyturn.ts'
import { runningClock } from '../support/server/clock.ts'
import { claimsOf } from '../support/server/requests.ts'
import { SECRET } from '../support/server/seed.ts'
import { introspect } from '../support/server/tokens.ts'

const SCOPE = 'openid profile offline_access orders:read'

/** Each client with a key of another kind. */
const COMBINATIONS = [
  { id: 'spa', redirect: SPA_REDIRECT, secret: null, alg: 'ES256' },
  { id: 'spa', redirect: SPA_REDIRECT, secret: null, alg: 'Ed25519' },
  { id: 'web', redirect: WEB_REDIRECT, secret: SECRET, alg: 'ES256' },
  { id: 'web', redirect: WEB_REDIRECT, secret: SECRET, alg: 'PS256' },
  { id: 'web', redirect: WEB_REDIRECT, secret: SECRET, alg: 'EdDSA' },
] as const

for (const nonces of ['off', 'on']) {
  const { issuer, server, alice, browser } = await openidServer(t, {
    clock: runningClock(),
    settings: { DPOP_NONCE: nonces },
  })

  async function callbackOf(url: string): Promise<URL> {
    const at = browser()
    const { away, status, body } = await completePages(at, await at.open(url))
    if (!away) throw new Error(`the browser was not redirected: ${status} ${body}`)
    return new URL(away.url)
  }

  /** The thumbprint of the key that the token is bound to. */
  const boundTo = (token: string) => (claimsOf(token).cnf as { jkt: string } | undefined)?.jkt
  const thumbprint = async ({ publicKey }: oauth.CryptoKeyPair) =>
    calculateJwkThumbprint(await exportJWK(publicKey))

  for (const { id, redirect, secret, alg } of COMBINATIONS) {
    const what = `${id} with ${alg}, nonces ${nonces}`

    t.test(`openid-client: PAR, code, refresh and userinfo of ${what}`, async (t) => {
      const authentication = secret === null ? oidc.None() : oidc.ClientSecretBasic(secret)
      const config = await oidc.discovery(new URL(issuer), id, undefined, authentication, {
        execute: [oidc.allowInsecureRequests],
      })
      const pair = await oidc.randomDPoPKeyPair(alg)
      const DPoP = oidc.getDPoPHandle(config, pair)
      const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
      const parameters = {
        redirect_uri: redirect,
        scope: SCOPE,
        code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
        code_challenge_method: 'S256',
        nonce: 'n',
      }
      const url = await oidc.buildAuthorizationUrlWithPAR(config, parameters, { DPoP })
      const checks = { pkceCodeVerifier, expectedNonce: 'n' }
      const callback = await callbackOf(url.href)
      const tokens = await oidc.authorizationCodeGrant(config, callback, checks, undefined, { DPoP })
      t.equal(tokens.token_type, 'dpop')
      t.equal(boundTo(tokens.access_token), await thumbprint(pair))
      t.match(await oidc.fetchUserInfo(config, tokens.access_token, alice.id, { DPoP }), { sub: alice.id })
      const next = await oidc.refreshTokenGrant(config, String(tokens.refresh_token), undefined, { DPoP })
      t.equal(next.token_type, 'dpop')
      t.match(await oidc.fetchUserInfo(config, next.access_token, alice.id, { DPoP }), { sub: alice.id })
      await t.rejects(oidc.fetchUserInfo(config, next.access_token, alice.id), 'as a bearer token')
      const other = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair(alg))
      await t.rejects(oidc.fetchUserInfo(config, next.access_token, alice.id, { DPoP: other }), 'another key')
      if (secret === null) {
        const stolen = String(next.refresh_token)
        const refreshed = oidc.refreshTokenGrant(config, stolen, undefined, { DPoP: other })
        await t.rejects(refreshed, Object.assign(new Error(), { error: 'invalid_grant' }))
      }
    })

    t.test(`oauth4webapi: code bound by dpop_jkt, refresh and userinfo of ${what}`, async (t) => {
      const insecure = { [oauth.allowInsecureRequests]: true } as const
      const at = new URL(issuer)
      const as = await oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, insecure))
      t.ok(as.dpop_signing_alg_values_supported?.includes(alg))
      const client: oauth.Client = { client_id: id }
      const authentication = secret === null ? oauth.None() : oauth.ClientSecretBasic(secret)
      const pair = await oauth.generateKeyPair(alg)
      const DPoP = oauth.DPoP(client, pair)

      /** Repeats the work once if the server asks for a nonce, as the library’s examples do. */
      async function withNonce<T>(work: () => Promise<T>): Promise<T> {
        try {
          return await work()
        } catch (error) {
          if (!oauth.isDPoPNonceError(error)) throw error
          return work()
        }
      }

      const verifier = oauth.generateRandomCodeVerifier()
      const state = oauth.generateRandomState()
      const parameters = {
        client_id: id,
        response_type: 'code',
        redirect_uri: redirect,
        scope: SCOPE,
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        dpop_jkt: await DPoP.calculateThumbprint(),
      }
      const callback = await callbackOf(`${as.authorization_endpoint}?${new URLSearchParams(parameters)}`)
      const checked = oauth.validateAuthResponse(as, client, callback, state)
      const tokens = await withNonce(async () =>
        oauth.processAuthorizationCodeResponse(
          as,
          client,
          await oauth.authorizationCodeGrantRequest(as, client, authentication, checked, redirect, verifier, {
            DPoP,
            ...insecure,
          }),
        ),
      )
      t.equal(tokens.token_type, 'dpop')
      t.equal(boundTo(tokens.access_token), parameters.dpop_jkt)
      const info = (token: string) =>
        withNonce(async () =>
          oauth.processUserInfoResponse(
            as,
            client,
            alice.id,
            await oauth.userInfoRequest(as, client, token, { DPoP, ...insecure }),
          ),
        )
      t.match(await info(tokens.access_token), { sub: alice.id })
      const next = await withNonce(async () =>
        oauth.processRefreshTokenResponse(
          as,
          client,
          await oauth.refreshTokenGrantRequest(as, client, authentication, String(tokens.refresh_token), {
            DPoP,
            ...insecure,
          }),
        ),
      )
      t.match(await info(next.access_token), { sub: alice.id })
      if (secret !== null)
        t.match((await introspect(server, next.access_token, id)).json(), {
          token_type: 'DPoP',
          cnf: { jkt: parameters.dpop_jkt },
        })
    })
  }
}
