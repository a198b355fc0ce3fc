/**
 * express-openid-connect. README, "Configuring the SDK". Its default is the implicit flow, which OAuth 2.1 removes; with
 * a client secret it uses the code flow (README, "Examples": EXAMPLES.md, access tokens for external APIs).
 */
import express from 'express'
import { auth } from 'express-openid-connect'
import t from 'tap'
import { listenAt } from './application.ts'
import { ALICE, applicationOrigin, person, startKeyturn } from './keyturn.ts'

const keyturn = await startKeyturn(t)
const APP = await applicationOrigin()
// The library sends its base URL as it is, without a slash (README, "Configure Auth0", "Allowed Logout URLs").
const { id, secret } = await keyturn.register(`${APP}/callback`, `--post-logout-redirect-uri ${APP}`)
const readme = {
  issuerBaseURL: keyturn.issuer,
  baseURL: APP,
  clientID: id,
  secret: 'a long, randomly-generated string stored in env',
  idpLogout: true,
}
const app = express()
app.use(
  auth({
    ...readme,
    // The two lines.
    clientSecret: secret,
    authorizationParams: { response_type: 'code' },
  }),
)
app.get('/', (request, response) => void response.json(request.oidc.user))
app.get('/refresh', async (request, response) => {
  await request.oidc.accessToken?.refresh()
  response.json(await request.oidc.fetchUserInfo())
})
await listenAt(t, APP, app)

t.test('express-openid-connect: sign-in, name and email, refresh, logout', async (t) => {
  const alice = person(keyturn, APP)
  const home = await alice.signIn(await alice.app.open('/'))
  t.match(JSON.parse(home.body), ALICE)
  t.match(JSON.parse((await alice.app.open('/refresh')).body), ALICE)
  const out = await alice.issuer.open((await alice.app.open('/logout')).away?.url ?? '')
  t.equal(out.away?.url, APP, 'signed out, and led back')
  const again = await alice.issuer.open((await alice.app.open('/')).away?.url ?? '')
  t.equal(again.path, '/login')
})

t.test(
  'express-openid-connect in its implicit default gets an error that names the response type',
  async (t) => {
    const other = await applicationOrigin()
    const app = express()
    app.use(auth({ ...readme, baseURL: other }))
    await listenAt(t, other, app)
    const alice = person(keyturn, other)
    const start = await alice.app.open('/')
    const url = new URL(start.away?.url ?? '')
    // The registered one, so that the answer is about the response type.
    url.searchParams.set('redirect_uri', `${APP}/callback`)
    // The answer is a form, as `response_mode=form_post` asks.
    const { away } = await alice.issuer.submit(await alice.issuer.open(url.href))
    t.equal(away?.params.get('error') ?? '', 'unsupported_response_type')
  },
)
