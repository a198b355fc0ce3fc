/** @fastify/oauth2. README, "Use automated discovery endpoint", with the callback of "Usage". */
import oauthPlugin, { type OAuth2Namespace } from '@fastify/oauth2'
import Fastify from 'fastify'
import t from 'tap'
import { ALICE, applicationOrigin, person, SCOPE, startKeyturn } from './keyturn.ts'

declare module 'fastify' {
  interface FastifyInstance {
    customOAuth2: OAuth2Namespace
  }
}

const keyturn = await startKeyturn(t)
const APP = await applicationOrigin()
const { id, secret } = await keyturn.register(`${APP}/callback`)

const fastify = Fastify()
t.teardown(() => fastify.close())
fastify.register(oauthPlugin, {
  name: 'customOAuth2',
  scope: SCOPE.split(' '),
  credentials: { client: { id, secret } },
  startRedirectPath: '/login',
  callbackUri: `${APP}/callback`,
  discovery: { issuer: keyturn.issuer },
})
fastify.get('/callback', async (request) => {
  const { customOAuth2 } = fastify
  const { token } = await customOAuth2.getAccessTokenFromAuthorizationCodeFlow(request)
  const { token: next } = await customOAuth2.getNewAccessTokenUsingRefreshToken(token, {})
  const user = await customOAuth2.userinfo(next.access_token)
  await customOAuth2.revokeAllToken(next, {})
  const after = await customOAuth2.getNewAccessTokenUsingRefreshToken(next, {}).then(
    () => 'accepted',
    () => 'refused',
  )
  return { user, rotated: next.refresh_token !== token.refresh_token, after }
})
await fastify.listen({ port: Number(new URL(APP).port), host: '127.0.0.1' })

t.test('@fastify/oauth2: sign-in, name and email, refresh, revocation', async (t) => {
  const alice = person(keyturn, APP)
  const home = await alice.signIn(await alice.app.open('/login'))
  t.match(JSON.parse(home.body), { user: ALICE, rotated: true, after: 'refused' })
})
