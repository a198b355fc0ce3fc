/** openid-client 6. README, "Quick start" and "Authorization Code Flow", with examples/oidc.ts. */
import * as client from 'openid-client'
import t from 'tap'
import { ALICE, SCOPE, signInAt, startKeyturn } from './keyturn.ts'

const CALLBACK = 'http://localhost:4000/callback'
const keyturn = await startKeyturn(t)
const { id, secret } = await keyturn.register(CALLBACK)
const browser = keyturn.browser()

// Only for http; the rest is the README's.
const config = await client.discovery(new URL(keyturn.issuer), id, secret, undefined, {
  execute: [client.allowInsecureRequests],
})

t.test('openid-client 6: sign-in, name and email, refresh, logout', async (t) => {
  const code_verifier = client.randomPKCECodeVerifier()
  const parameters: Record<string, string> = {
    redirect_uri: CALLBACK,
    scope: SCOPE,
    code_challenge: await client.calculatePKCECodeChallenge(code_verifier),
    code_challenge_method: 'S256',
  }
  t.ok(config.serverMetadata().supportsPKCE(), 'so the README sends neither state nor nonce')
  const redirectTo = client.buildAuthorizationUrl(config, parameters)

  const { url } = await signInAt(browser, redirectTo.href)
  const tokens = await client.authorizationCodeGrant(config, new URL(url), {
    pkceCodeVerifier: code_verifier,
    idTokenExpected: true,
  })
  const claims = tokens.claims()
  t.match(claims, ALICE, 'in the ID token')
  t.match(await client.fetchUserInfo(config, tokens.access_token, String(claims?.sub)), ALICE, 'at userinfo')

  const next = await client.refreshTokenGrant(config, String(tokens.refresh_token))
  t.match(next.claims(), { sub: claims?.sub, ...ALICE })
  await client.tokenRevocation(config, String(next.refresh_token))
  await t.rejects(client.refreshTokenGrant(config, String(next.refresh_token)), {
    error: 'invalid_grant',
  } as object as Error)

  const end = client.buildEndSessionUrl(config, {
    post_logout_redirect_uri: 'http://localhost:4000/',
    id_token_hint: String(tokens.id_token),
  })
  t.equal((await browser.open(end.href)).away?.url, 'http://localhost:4000/')
})
