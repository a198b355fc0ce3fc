import * as oidc from 'openid-client'
import t from 'tap'
import type { Browser, Page } from '../support/browser/browser.ts'
import { completePages, OWN_REDIRECT, type SignInOptions, WEB_REDIRECT } from '../support/browser/sign-in.ts'
import { openidServer, PROFILE, SIGNED_OUT } from '../support/issuers/keyturn.ts'
import { runningClock } from '../support/server/clock.ts'
import { SECRET } from '../support/server/seed.ts'

const { issuer, alice, key, browser } = await openidServer(t, { clock: runningClock() })

/** From the issuer’s URL alone; the library is only told to accept http and to verify signatures of ID tokens. */
const discover = (id: string, authentication: oidc.ClientAuth = oidc.ClientSecretBasic(SECRET)) =>
  oidc.discovery(new URL(issuer), id, undefined, authentication, {
    execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
  })

async function startRequest(more: Record<string, string> = {}) {
  const verifier = oidc.randomPKCECodeVerifier()
  const [state, nonce] = [oidc.randomState(), oidc.randomNonce()]
  const parameters: Record<string, string> = {
    redirect_uri: WEB_REDIRECT,
    scope: 'openid profile email offline_access',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...more,
  }
  const checks: oidc.AuthorizationCodeGrantChecks = {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  }
  return { parameters, checks }
}

/** Completes the pages as the user does, and returns the URL to which the browser is redirected in the end. */
async function openAndSignIn(at: Browser, url: URL, user?: SignInOptions): Promise<URL> {
  return redirectOf(await completePages(at, await at.open(url.href), user))
}

function redirectOf({ away, status, body }: Page): URL {
  if (!away) throw new Error(`the browser was not redirected: ${status} ${body}`)
  return new URL(away.url)
}

/** `accepted`, or the error code of the server or the library. */
async function outcome(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work
    return 'accepted'
  } catch (error) {
    const { error: errorCode, code } = error as { error?: string; code?: string }
    return errorCode ?? code
  }
}

t.test('from the issuer’s URL alone: PAR, code, tokens, userinfo, refresh and logout work', async (t) => {
  const config = await discover('web')
  const metadata = config.serverMetadata()
  t.equal(metadata.issuer, issuer)
  t.ok(metadata.supportsPKCE())
  const at = browser()
  const { parameters, checks } = await startRequest()
  const url = await oidc.buildAuthorizationUrlWithPAR(config, parameters)
  t.same([...url.searchParams.keys()].sort(), ['client_id', 'request_uri'], 'nothing else is in the URL')

  const callback = await openAndSignIn(at, url)
  t.equal(callback.origin + callback.pathname, WEB_REDIRECT)
  t.equal(callback.searchParams.get('iss'), issuer, 'RFC 9207')
  const tokens = await oidc.authorizationCodeGrant(config, callback, checks)
  t.match(tokens, { token_type: 'bearer', expires_in: 600, scope: parameters.scope })
  const claims = tokens.claims()
  t.match(claims, { iss: issuer, aud: 'web', sub: alice.id, amr: ['pwd'], auth_time: Number })

  const user = await oidc.fetchUserInfo(config, tokens.access_token, alice.id)
  t.match(user, { name: PROFILE.name, email: PROFILE.email, preferred_username: 'alice' })

  const next = await oidc.refreshTokenGrant(config, String(tokens.refresh_token))
  t.not(next.refresh_token, tokens.refresh_token)
  t.match(next.claims(), { sub: alice.id, auth_time: claims?.auth_time, sid: claims?.sid })
  t.match(await oidc.fetchUserInfo(config, next.access_token, alice.id), { name: PROFILE.name })

  const signOut = oidc.buildEndSessionUrl(config, {
    id_token_hint: String(tokens.id_token),
    post_logout_redirect_uri: SIGNED_OUT,
    state: 'bye',
  })
  t.equal(redirectOf(await at.open(signOut.href)).href, `${SIGNED_OUT}?state=bye`)
  const again = await at.open(oidc.buildAuthorizationUrl(config, (await startRequest()).parameters).href)
  t.equal(again.path, '/login', 'no user is signed in')
})

t.test('without PAR, by redirect and by form_post, a second request needs no user interaction', async (t) => {
  const config = await discover('own')
  const at = browser()
  for (const response_mode of ['query', 'form_post']) {
    const { parameters, checks } = await startRequest({ redirect_uri: OWN_REDIRECT, response_mode })
    const url = oidc.buildAuthorizationUrl(config, parameters)
    let answer: URL | Request
    if (response_mode === 'query') answer = await openAndSignIn(at, url)
    else {
      const { away } = await at.submit(await at.open(url.href))
      t.equal(away?.url, OWN_REDIRECT)
      t.equal(away?.method, 'POST')
      answer = new Request(OWN_REDIRECT, { method: 'POST', body: away?.params ?? null })
    }
    const tokens = await oidc.authorizationCodeGrant(config, answer, checks)
    t.equal(tokens.claims()?.sub, alice.id, response_mode)
  }
})

const ways: Record<string, oidc.ClientAuth> = {
  web: oidc.ClientSecretBasic(SECRET),
  'poster-app': oidc.ClientSecretPost(SECRET),
  'signer-app': oidc.PrivateKeyJwt(key as oidc.PrivateKey),
  native: oidc.None(),
}
for (const [id, authentication] of Object.entries(ways)) {
  t.test(
    `client ${id}: PAR, tokens, refresh and revocation work (RFC 6749 §2.3.1, RFC 6749 §3.2.1; docs/security.md B15, B20)`,
    async (t) => {
      const config = await discover(id, authentication)
      const redirect_uri = id === 'native' ? 'http://127.0.0.1:50123/callback' : WEB_REDIRECT
      const { parameters, checks } = await startRequest({ redirect_uri })
      const callback = await openAndSignIn(
        browser(),
        await oidc.buildAuthorizationUrlWithPAR(config, parameters),
      )
      t.ok(callback.href.startsWith(`${redirect_uri}?`), 'on loopback with any port (RFC 8252 §7.3)')
      const tokens = await oidc.authorizationCodeGrant(config, callback, checks)
      const next = await oidc.refreshTokenGrant(config, String(tokens.refresh_token))
      const info = () => outcome(oidc.fetchUserInfo(config, next.access_token, alice.id))
      t.equal(await info(), 'accepted')
      await oidc.tokenRevocation(config, String(next.refresh_token))
      t.equal(await outcome(oidc.refreshTokenGrant(config, String(next.refresh_token))), 'invalid_grant')
      t.equal(await info(), 'OAUTH_WWW_AUTHENTICATE_CHALLENGE')
    },
  )
}

t.test('signed requests work in the URL and pushed (RFC 9101; docs/security.md K126)', async (t) => {
  const config = await discover('jar')
  const signed = (parameters: Record<string, string>) =>
    oidc.buildAuthorizationUrlWithJAR(config, parameters, key as oidc.PrivateKey)
  const first = await startRequest()
  const url = await signed(first.parameters)
  t.same([...url.searchParams.keys()].sort(), ['client_id', 'request'])
  const tokens = await oidc.authorizationCodeGrant(config, await openAndSignIn(browser(), url), first.checks)
  t.equal(tokens.claims()?.nonce, first.checks.expectedNonce)

  const second = await startRequest()
  const inside = await signed(second.parameters)
  const pushed = await oidc.buildAuthorizationUrlWithPAR(config, inside.searchParams)
  const callback = await openAndSignIn(browser(), pushed)
  t.ok((await oidc.authorizationCodeGrant(config, callback, second.checks)).access_token)

  const unsigned = oidc.buildAuthorizationUrl(config, (await startRequest()).parameters)
  const refusal = redirectOf(await browser().open(unsigned.href))
  t.equal(refusal.searchParams.get('error'), 'invalid_request', 'this client must sign')
})

t.test(
  'the library’s checks of state, iss, nonce and max_age work (OpenID Connect Core §3.1.2.1; docs/security.md M137)',
  async (t) => {
    const config = await discover('own')
    const { parameters, checks } = await startRequest({ redirect_uri: OWN_REDIRECT, max_age: '300' })
    const callback = await openAndSignIn(browser(), oidc.buildAuthorizationUrl(config, parameters))
    const grant = (more: Partial<oidc.AuthorizationCodeGrantChecks>, url = callback) =>
      oidc.authorizationCodeGrant(config, url, { ...checks, ...more })
    const changed = (iss: string | undefined) => {
      const url = new URL(callback)
      if (iss === undefined) url.searchParams.delete('iss')
      else url.searchParams.set('iss', iss)
      return url
    }
    const INVALID = 'OAUTH_INVALID_RESPONSE'
    t.equal(await outcome(grant({ expectedState: 'other' })), INVALID, 'state')
    t.equal(await outcome(grant({}, changed('https://evil.test'))), INVALID, 'iss of another server')
    t.equal(
      await outcome(grant({}, changed(undefined))),
      INVALID,
      'no iss, although the metadata announces it',
    )
    const other = { pkceCodeVerifier: oidc.randomPKCECodeVerifier() }
    t.equal(await outcome(grant(other)), 'invalid_grant', 'the verifier of another request')
    const tokens = await grant({ maxAge: 300 })
    t.ok(tokens.claims()?.auth_time, 'and a wrong verifier has not consumed the code')
  },
)

t.test(
  'prompt=none succeeds silently with a session and returns login_required without one (OpenID Connect Core §3.1.2.1, OpenID Connect Core §3.1.2.2; docs/security.md M137, M138)',
  async (t) => {
    const config = await discover('own')
    const at = browser()
    const first = await startRequest({ redirect_uri: OWN_REDIRECT })
    const signedIn = await openAndSignIn(at, oidc.buildAuthorizationUrl(config, first.parameters))
    const before = await oidc.authorizationCodeGrant(config, signedIn, first.checks)

    const silent = { redirect_uri: OWN_REDIRECT, prompt: 'none', id_token_hint: String(before.id_token) }
    const { parameters, checks } = await startRequest(silent)
    const url = oidc.buildAuthorizationUrl(config, parameters).href
    const tokens = await oidc.authorizationCodeGrant(config, redirectOf(await at.open(url)), checks)
    t.match(tokens.claims(), { sub: alice.id, auth_time: before.claims()?.auth_time })

    const stranger = redirectOf(await browser().open(url))
    t.equal(await outcome(oidc.authorizationCodeGrant(config, stranger, checks)), 'login_required')
  },
)

t.test('a user who denies consent makes the library report access_denied (RFC 6749 §4.1.2.1)', async (t) => {
  const config = await discover('web')
  const { parameters, checks } = await startRequest()
  const url = oidc.buildAuthorizationUrl(config, parameters)
  const callback = await openAndSignIn(browser(), url, { consent: 'deny' })
  t.equal(await outcome(oidc.authorizationCodeGrant(config, callback, checks)), 'access_denied')
})
