/** openid-client 5, which most older applications have. README, "Quick start" and "Authorization Code Flow". */
import { generators, Issuer } from 'openid-client-5'
import t from 'tap'
import { ALICE, SCOPE, signInAt, startKeyturn } from './keyturn.ts'

const CALLBACK = 'http://localhost:4000/cb'
const keyturn = await startKeyturn(t)
const { id, secret } = await keyturn.register(CALLBACK)
const browser = keyturn.browser()

t.test('openid-client 5: sign-in, name and email, refresh, logout', async (t) => {
  const issuer = await Issuer.discover(keyturn.issuer)
  const client = new issuer.Client({
    client_id: id,
    client_secret: secret,
    redirect_uris: [CALLBACK],
    response_types: ['code'],
  })
  const code_verifier = generators.codeVerifier()
  const url = client.authorizationUrl({
    scope: SCOPE,
    code_challenge: generators.codeChallenge(code_verifier),
    code_challenge_method: 'S256',
  })
  const params = client.callbackParams((await signInAt(browser, url)).url)
  const tokenSet = await client.callback(CALLBACK, params, { code_verifier })
  t.match(tokenSet.claims(), ALICE, 'in the ID token')
  t.match(await client.userinfo(tokenSet), ALICE, 'at userinfo')

  const next = await client.refresh(tokenSet)
  t.match(next.claims(), { sub: tokenSet.claims().sub, ...ALICE })
  await client.revoke(String(next.refresh_token))
  await t.rejects(client.refresh(next), { error: 'invalid_grant' } as object as Error)

  const end = client.endSessionUrl({
    id_token_hint: tokenSet,
    post_logout_redirect_uri: 'http://localhost:4000/',
  })
  t.equal((await browser.open(end)).away?.url, 'http://localhost:4000/')
})
