/**
 * passport-openidconnect. README, "Configure Strategy" and "Define Routes". It knows no PKCE, so `nonce` replaces it
 * (OAuth 2.1 §7.5.1), and takes the profile from the ID token.
 */
import express from 'express'
import session from 'express-session'
import passport from 'passport'
import OpenIDConnectStrategy from 'passport-openidconnect'
import t from 'tap'
import { listenAt } from './application.ts'
import { ALICE, applicationOrigin, person, startKeyturn } from './keyturn.ts'

const keyturn = await startKeyturn(t)
const APP = await applicationOrigin()
const { id, secret } = await keyturn.register(`${APP}/cb`)
const app = express()
app.use(session({ secret: 'keyboard cat', resave: false, saveUninitialized: false }))
app.use(passport.session())
passport.serializeUser((user, done) => done(null, user))
passport.deserializeUser((user: Express.User, done) => done(null, user))
passport.use(
  new OpenIDConnectStrategy(
    {
      issuer: keyturn.issuer,
      authorizationURL: `${keyturn.issuer}/oauth2/authorize`,
      tokenURL: `${keyturn.issuer}/oauth2/token`,
      userInfoURL: `${keyturn.issuer}/oauth2/userinfo`,
      clientID: id,
      clientSecret: secret,
      callbackURL: `${APP}/cb`,
      // The two lines.
      scope: 'profile email',
      nonce: 'true',
    },
    (issuer: string, profile: passport.Profile, done: (error: null, user: object) => void) =>
      done(null, { issuer, name: profile.displayName, email: profile.emails?.[0]?.value }),
  ),
)
app.get('/login', passport.authenticate('openidconnect'))
app.get('/cb', passport.authenticate('openidconnect', { failureRedirect: '/login' }), (_, response) =>
  response.redirect('/'),
)
app.get('/', (request, response) => void response.json(request.user ?? null))
await listenAt(t, APP, app)

t.test('passport-openidconnect: sign-in, name and email', async (t) => {
  const alice = person(keyturn, APP)
  const home = await alice.signIn(await alice.app.open('/login'))
  t.same(JSON.parse(home.body), { issuer: keyturn.issuer, ...ALICE })
})
