/**
 * simple-oauth2. README, "Authorization Code Grant", "Refresh an access token" and "Revoke an access or refresh
 * token". It is plain OAuth and generates no PKCE values, but sends those that it is given.
 */
import { createHash, randomBytes } from 'node:crypto'
import { AuthorizationCode } from 'simple-oauth2'
import t from 'tap'
import { ALICE, SCOPE, signInAt, startKeyturn } from './keyturn.ts'

const CALLBACK = 'http://localhost:3000/callback'
const keyturn = await startKeyturn(t)
const { id, secret } = await keyturn.register(CALLBACK)

t.test('simple-oauth2: sign-in, name and email, refresh, revocation', async (t) => {
  const client = new AuthorizationCode({
    client: { id, secret },
    // The README’s server has the default paths /oauth/authorize and /oauth/token.
    auth: {
      tokenHost: keyturn.issuer,
      tokenPath: '/oauth2/token',
      authorizePath: '/oauth2/authorize',
      revokePath: '/oauth2/revoke',
    },
  })
  // The two lines: code_challenge here, code_verifier below.
  const code_verifier = randomBytes(32).toString('base64url')
  const code_challenge = createHash('sha256').update(code_verifier).digest('base64url')
  const authorizationUri = client.authorizeURL({
    redirect_uri: CALLBACK,
    scope: SCOPE,
    state: 'the-state',
    ...{ code_challenge, code_challenge_method: 'S256' },
  })
  const { params } = await signInAt(keyturn.browser(), authorizationUri)
  t.equal(params.get('state'), 'the-state')
  const accessToken = await client.getToken({
    code: String(params.get('code')),
    redirect_uri: CALLBACK,
    scope: SCOPE,
    ...{ code_verifier },
  })
  const userInfo = async (token: unknown) => {
    const headers = { authorization: `Bearer ${token}` }
    return (await fetch(`${keyturn.issuer}/oauth2/userinfo`, { headers })).json()
  }
  t.match(await userInfo(accessToken.token.access_token), ALICE)
  t.notOk(accessToken.expired())

  const next = await accessToken.refresh({ scope: SCOPE })
  t.match(await userInfo(next.token.access_token), ALICE)
  await next.revokeAll()
  await t.rejects(next.refresh(), /400/)
})
