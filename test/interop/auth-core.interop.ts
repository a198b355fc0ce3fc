/** @auth/core (Auth.js). README, "documentation": authjs.dev/guides/configuring-oauth-providers, "Use your own provider". */
import { Auth, type AuthConfig } from '@auth/core'
import t from 'tap'
import { fetchListener, listenAt } from './application.ts'
import { ALICE, applicationOrigin, person, startKeyturn } from './keyturn.ts'

const keyturn = await startKeyturn(t)
const APP = await applicationOrigin()
const { id, secret } = await keyturn.register(`${APP}/auth/callback/keyturn`)
const config: AuthConfig = {
  providers: [
    {
      id: 'keyturn',
      name: 'Keyturn',
      type: 'oidc',
      issuer: keyturn.issuer,
      clientId: id,
      clientSecret: secret,
    },
  ],
  secret: 'a secret of the application, 32 characters',
  trustHost: true,
  basePath: '/auth',
}
await listenAt(
  t,
  APP,
  fetchListener(APP, (request) => Auth(request, config)),
)

t.test('@auth/core: sign-in, name and email', async (t) => {
  const alice = person(keyturn, APP)
  const signInPage = await alice.app.open('/auth/signin')
  await alice.signIn(await alice.app.submit(signInPage, { form: '/auth/signin/keyturn' }))
  const { user } = JSON.parse((await alice.app.open('/auth/session')).body)
  t.match(user, ALICE)
})
