/** better-auth. README, "Getting Started": better-auth.com/docs/plugins/generic-oauth, "Installation" and "Usage". */
import { betterAuth } from 'better-auth'
import { genericOAuth } from 'better-auth/plugins'
import t from 'tap'
import { fetchListener, listenAt } from './application.ts'
import { ALICE, applicationOrigin, person, SCOPE, startKeyturn } from './keyturn.ts'

const keyturn = await startKeyturn(t)
const APP = await applicationOrigin()
const { id, secret } = await keyturn.register(`${APP}/api/auth/callback/keyturn`)
const auth = betterAuth({
  baseURL: APP,
  secret: 'a secret of the application, 32 characters',
  plugins: [
    genericOAuth({
      config: [
        {
          providerId: 'keyturn',
          clientId: id,
          clientSecret: secret,
          discoveryUrl: `${keyturn.issuer}/.well-known/openid-configuration`,
          scopes: SCOPE.split(' '),
        },
      ],
    }),
  ],
})
await listenAt(t, APP, fetchListener(APP, auth.handler))

t.test('better-auth: sign-in, name and email, refresh, logout', async (t) => {
  const alice = person(keyturn, APP)
  const headers = { 'content-type': 'application/json', origin: APP }
  const post = (path: string, body: object) =>
    alice.app.request(path, { method: 'POST', from: 'same-origin', headers, body: JSON.stringify(body) })
  const start = await post('/api/auth/sign-in/social', { provider: 'keyturn', callbackURL: '/' })
  const { url } = JSON.parse(start.body) as { url: string }
  const away = { method: 'GET' as const, url, params: new URLSearchParams() }
  await alice.signIn({ ...start, away })
  const { user } = JSON.parse((await alice.app.open('/api/auth/get-session')).body)
  t.match(user, { ...ALICE, emailVerified: true })
  const accounts = JSON.parse((await alice.app.open('/api/auth/list-accounts')).body) as { id: string }[]
  const refreshed = await post('/api/auth/refresh-token', { accountId: accounts[0]?.id })
  t.match([refreshed.status, JSON.parse(refreshed.body)], [200, { accessToken: /^eyJ/ }])
  const out = await post('/api/auth/sign-out', { callbackURL: '/' })
  const { url: end } = JSON.parse(out.body) as { url: string }
  t.equal((await alice.issuer.open(end)).away?.url, `${APP}/`, 'signed out, and led back')
})
