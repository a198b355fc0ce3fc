/**
 * passport-oauth2. README, "Configure Strategy" and "Authenticate Requests". It is plain OAuth, so it needs PKCE
 * (OAuth 2.1 §7.5.1), and leaves the profile to the application.
 */
import express from 'express'
import session from 'express-session'
import passport from 'passport'
import OAuth2Strategy from 'passport-oauth2'
import t from 'tap'
import { listenAt } from './application.ts'
import { ALICE, applicationOrigin, person, SCOPE, startKeyturn } from './keyturn.ts'

const keyturn = await startKeyturn(t)
const APP = await applicationOrigin()
const CALLBACK = `${APP}/auth/example/callback`
const { id, secret } = await keyturn.register(CALLBACK)
const app = express()
app.use(session({ secret: 'keyboard cat', resave: false, saveUninitialized: false }))
app.use(passport.session())
passport.serializeUser((user, done) => done(null, user))
passport.deserializeUser((user: Express.User, done) => done(null, user))

const readme = {
  authorizationURL: `${keyturn.issuer}/oauth2/authorize`,
  tokenURL: `${keyturn.issuer}/oauth2/token`,
  clientID: id,
  clientSecret: secret,
  callbackURL: CALLBACK,
  scope: SCOPE,
}
const verify = (
  accessToken: string,
  refreshToken: string,
  _profile: unknown,
  done: (error: null, user: object) => void,
) => done(null, { accessToken, refreshToken })
passport.use('as-it-comes', new OAuth2Strategy(readme, verify))
// The two lines.
passport.use(new OAuth2Strategy({ ...readme, pkce: true, state: true }, verify))

app.get('/as-it-comes', passport.authenticate('as-it-comes'))
app.get('/auth/example', passport.authenticate('oauth2'))
app.get(
  '/auth/example/callback',
  passport.authenticate('oauth2', { failureRedirect: '/login' }),
  (_, response) => response.redirect('/'),
)
app.get('/', async (request, response) => {
  const { accessToken, refreshToken } = request.user as Record<string, string>
  const authorization = `Bearer ${accessToken}`
  const user = await fetch(`${keyturn.issuer}/oauth2/userinfo`, { headers: { authorization } })
  response.json({ ...((await user.json()) as object), refreshToken })
})
await listenAt(t, APP, app)

t.test('passport-oauth2: sign-in, name and email, a refresh token', async (t) => {
  const alice = person(keyturn, APP)
  const home = await alice.signIn(await alice.app.open('/auth/example'))
  t.match(JSON.parse(home.body), { ...ALICE, refreshToken: /^ktr/ })
})

t.test('passport-oauth2 without PKCE is told what is missing', async (t) => {
  const alice = person(keyturn, APP)
  const start = await alice.app.open('/as-it-comes')
  const { away } = await alice.issuer.open(start.away?.url ?? '')
  t.equal(away?.params.get('error'), 'invalid_request')
  t.match(away?.params.get('error_description'), /code_challenge/)
})
