import { createHash } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import t from 'tap'
import type { Browser } from '../support/browser/browser.ts'
import { completePages, OWN_REDIRECT, WEB_REDIRECT } from '../support/browser/sign-in.ts'
import { openidServer, PROFILE, SIGNED_OUT } from '../support/issuers/keyturn.ts'
import { runningClock } from '../support/server/clock.ts'
import { ORDERS, SECRET } from '../support/server/seed.ts'

const { issuer, alice, key, browser } = await openidServer(t, { clock: runningClock() })
const insecure = { [oauth.allowInsecureRequests]: true } as const
const secret = oauth.ClientSecretBasic(SECRET)

async function discover(algorithm: 'oidc' | 'oauth2'): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer)
  return oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm, ...insecure }))
}

interface Request {
  readonly parameters: Record<string, string>
  readonly verifier: string
}

async function request(client: oauth.Client, more: Record<string, string> = {}): Promise<Request> {
  const verifier = oauth.generateRandomCodeVerifier()
  const parameters = {
    client_id: client.client_id,
    response_type: 'code',
    redirect_uri: WEB_REDIRECT,
    scope: 'openid profile email offline_access',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    ...more,
  }
  return { parameters, verifier }
}

/** Completes the pages in a browser, and returns the URL with which the client’s callback is called. */
async function callback(at: Browser, as: oauth.AuthorizationServer, parameters: Record<string, string>) {
  const url = `${as.authorization_endpoint}?${new URLSearchParams(parameters)}`
  const { away, status, body } = await completePages(at, await at.open(url))
  if (!away) throw new Error(`the browser was not redirected: ${status} ${body}`)
  return new URL(away.url)
}

interface Redeeming {
  readonly as: oauth.AuthorizationServer
  readonly client: oauth.Client
  readonly authentication?: oauth.ClientAuth
  readonly sent: Request
  readonly url: URL
  readonly checks?: oauth.ProcessAuthorizationCodeResponseOptions
}

async function redeem({ as, client, authentication = secret, sent, url, checks }: Redeeming) {
  const { parameters, verifier } = sent
  const checked = oauth.validateAuthResponse(as, client, url, parameters.state)
  const redirect = String(parameters.redirect_uri)
  const answer = await oauth.authorizationCodeGrantRequest(
    as,
    client,
    authentication,
    checked,
    redirect,
    verifier,
    insecure,
  )
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, {
    expectedNonce: parameters.nonce ?? oauth.expectNoNonce,
    requireIdToken: true,
    ...checks,
  })
  await oauth.validateApplicationLevelSignature(as, answer, insecure)
  const claims = oauth.getValidatedIdTokenClaims(tokens)
  if (!claims) throw new Error('no ID token')
  return { tokens, claims }
}

for (const algorithm of ['oidc', 'oauth2'] as const) {
  t.test(`with ${algorithm} metadata: PAR, code, tokens, userinfo, refresh and logout work`, async (t) => {
    const as = await discover(algorithm)
    const client = { client_id: 'web' }
    const at = browser()
    const sent = await request(client)
    const pushed = await oauth.processPushedAuthorizationResponse(
      as,
      client,
      await oauth.pushedAuthorizationRequest(as, client, secret, sent.parameters, insecure),
    )
    t.match(pushed, { request_uri: /^urn:ietf:params:oauth:request_uri:/, expires_in: 90 })
    const url = await callback(at, as, { client_id: 'web', request_uri: pushed.request_uri })
    const { tokens, claims } = await redeem({ as, client, sent, url })
    t.equal(claims.sub, alice.id)
    const half = createHash('sha256').update(tokens.access_token).digest().subarray(0, 16)
    t.equal(claims.at_hash, half.toString('base64url'), 'OpenID Connect Core §3.1.3.6')

    const info = await oauth.processUserInfoResponse(
      as,
      client,
      claims.sub,
      await oauth.userInfoRequest(as, client, tokens.access_token, insecure),
    )
    t.match(info, { name: PROFILE.name, email: PROFILE.email, email_verified: true })

    const old = String(tokens.refresh_token)
    const refreshing = await oauth.refreshTokenGrantRequest(as, client, secret, old, insecure)
    const next = await oauth.processRefreshTokenResponse(as, client, refreshing)
    await oauth.validateApplicationLevelSignature(as, refreshing, insecure)
    t.match(oauth.getValidatedIdTokenClaims(next), { sub: claims.sub, sid: claims.sid })
    t.not(next.refresh_token, old)

    const signOut = new URL(String(as.end_session_endpoint))
    signOut.search = new URLSearchParams({
      id_token_hint: String(next.id_token),
      post_logout_redirect_uri: SIGNED_OUT,
    }).toString()
    t.equal((await at.open(signOut.href)).away?.url, SIGNED_OUT)
    const silent = await callback(at, as, (await request(client, { prompt: 'none' })).parameters)
    t.equal(silent.searchParams.get('error'), 'login_required')
  })
}

t.test(
  'max_age and auth_time work without a nonce (OpenID Connect Core §3.1.2.1, OpenID Connect Core §15.1; docs/security.md M137, M139)',
  async (t) => {
    const as = await discover('oidc')
    const client = { client_id: 'own', require_auth_time: true }
    const sent = await request(client, { redirect_uri: OWN_REDIRECT, max_age: '10000' })
    delete sent.parameters.nonce
    const url = await callback(browser(), as, sent.parameters)
    const { claims } = await redeem({ as, client, sent, url, checks: { maxAge: 10_000 } })
    t.equal(typeof claims.auth_time, 'number')
    t.notOk('nonce' in claims)
  },
)

t.test(
  'a public client and a private_key_jwt client work, and resource gives a token for the API (RFC 8707 §2)',
  async (t) => {
    const as = await discover('oauth2')
    for (const [client_id, redirect_uri, authentication] of [
      ['spa', 'https://spa.test/', oauth.None()],
      ['signer-app', WEB_REDIRECT, oauth.PrivateKeyJwt(key as oauth.PrivateKey)],
    ] as const) {
      const client = { client_id }
      const resource = { scope: 'openid orders:read', resource: ORDERS }
      const sent = await request(client, { redirect_uri, ...resource })
      const url = await callback(browser(), as, sent.parameters)
      const { tokens } = await redeem({ as, client, authentication, sent, url })
      const headers = { authorization: `Bearer ${tokens.access_token}` }
      const claims = await oauth.validateJwtAccessToken(
        as,
        new Request(ORDERS, { headers }),
        ORDERS,
        insecure,
      )
      t.match(claims, { sub: alice.id, client_id, scope: 'openid orders:read' })
    }
  },
)

t.test(
  'signed requests work, and invalid ones are refused (RFC 9101 §4, §6; docs/security.md K126)',
  async (t) => {
    const as = await discover('oidc')
    const client = { client_id: 'jar' }
    const sent = await request(client)
    const signing = key as oauth.PrivateKey
    const signed = await oauth.issueRequestObject(as, client, sent.parameters, signing)
    const url = await callback(browser(), as, { client_id: 'jar', request: signed })
    t.equal((await redeem({ as, client, sent, url })).claims.sub, alice.id)

    const { privateKey: stranger } = await oauth.generateKeyPair('ES256')
    const forged = await oauth.issueRequestObject(as, client, sent.parameters, {
      key: stranger,
      kid: key.kid,
    })
    const page = await browser().open(
      `${as.authorization_endpoint}?${new URLSearchParams({ client_id: 'jar', request: forged })}`,
    )
    t.equal(page.away, null, 'nothing inside it is used, not even the redirect URI')
    t.equal(page.status, 400)
  },
)
