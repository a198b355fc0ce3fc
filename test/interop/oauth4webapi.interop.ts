/** oauth4webapi. README, "Examples": examples/oidc.ts. */
import * as oauth from 'oauth4webapi'
import t from 'tap'
import { ALICE, SCOPE, signInAt, startKeyturn } from './keyturn.ts'

const CALLBACK = 'http://localhost:4000/callback'
const keyturn = await startKeyturn(t)
const { id, secret } = await keyturn.register(CALLBACK)
const browser = keyturn.browser()
const http = { [oauth.allowInsecureRequests]: true } as const

t.test('oauth4webapi: sign-in, name and email, refresh, logout', async (t) => {
  const issuer = new URL(keyturn.issuer)
  const as = await oauth
    .discoveryRequest(issuer, { algorithm: 'oidc', ...http })
    .then((response) => oauth.processDiscoveryResponse(issuer, response))
  const client: oauth.Client = { client_id: id }
  const clientAuth = oauth.ClientSecretPost(secret)

  const code_verifier = oauth.generateRandomCodeVerifier()
  const authorizationUrl = new URL(String(as.authorization_endpoint))
  authorizationUrl.searchParams.set('client_id', client.client_id)
  authorizationUrl.searchParams.set('redirect_uri', CALLBACK)
  authorizationUrl.searchParams.set('response_type', 'code')
  authorizationUrl.searchParams.set('scope', SCOPE)
  authorizationUrl.searchParams.set('code_challenge', await oauth.calculatePKCECodeChallenge(code_verifier))
  authorizationUrl.searchParams.set('code_challenge_method', 'S256')

  const currentUrl = new URL((await signInAt(browser, authorizationUrl.href)).url)
  const params = oauth.validateAuthResponse(as, client, currentUrl)
  const response = await oauth.authorizationCodeGrantRequest(
    as,
    client,
    clientAuth,
    params,
    CALLBACK,
    code_verifier,
    http,
  )
  const result = await oauth.processAuthorizationCodeResponse(as, client, response, { requireIdToken: true })
  const claims = oauth.getValidatedIdTokenClaims(result)
  t.match(claims, ALICE, 'in the ID token')
  const userInfo = await oauth.userInfoRequest(as, client, result.access_token, http)
  t.match(
    await oauth.processUserInfoResponse(as, client, String(claims?.sub), userInfo),
    ALICE,
    'at userinfo',
  )

  const refresh = (token: string | undefined) =>
    oauth
      .refreshTokenGrantRequest(as, client, clientAuth, String(token), http)
      .then((answer) => oauth.processRefreshTokenResponse(as, client, answer))
  const next = await refresh(result.refresh_token)
  t.match(oauth.getValidatedIdTokenClaims(next), { sub: claims?.sub, ...ALICE })
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, client, clientAuth, String(next.refresh_token), http),
  )
  await t.rejects(refresh(next.refresh_token), { error: 'invalid_grant' } as object as Error)

  const end = new URL(String(as.end_session_endpoint))
  end.searchParams.set('id_token_hint', String(result.id_token))
  end.searchParams.set('post_logout_redirect_uri', 'http://localhost:4000/')
  t.equal((await browser.open(end.href)).away?.url, 'http://localhost:4000/')
})
