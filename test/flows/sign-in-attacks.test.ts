/** Attacks by Mallory with a page, a link, a cookie, a client or an issuer that Mallory controls. */
import * as oauth from 'oauth4webapi'
import * as oidc from 'openid-client'
import { Secret, TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import type { User } from '../../src/store/contracts/users.ts'
import { createAuthenticator } from '../support/browser/authenticator.ts'
import { type Browser, openBrowser, type Page, tags } from '../support/browser/browser.ts'
import { protectionProblems, userGetsError } from '../support/browser/page-assertions.ts'
import {
  AUTHORIZE,
  authorizeParams,
  authorizeUrl,
  codeClient,
  completePages,
  OWN_REDIRECT,
  redeem,
  seedUsers,
  signIn,
  tokensOf,
  WEB_REDIRECT,
} from '../support/browser/sign-in.ts'
import { basic, claimsOf, encodeForm, post } from '../support/server/requests.ts'
import { PASSWORD, SECRET } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'

const SESSION = '__Host-keyturn-session'
const BROWSER = '__Host-keyturn-browser'
const CONTEXT = { ip: '192.0.2.9', requestId: 'r' }

const server = await watched()
const { alice, bob } = await seedUsers(server.store)
await server.store.clients.insert(codeClient({ id: 'pushes', requirePushedRequests: true }))
await server.store.clients.insert(codeClient({ id: 'strict', requireSecondFactor: true }))

interface Seen {
  readonly method: string
  readonly url: string
  readonly status: number
  readonly cookies: readonly string[]
}

/** All responses, which are checked in the end. */
interface Watched extends TestServer {
  readonly seen: Seen[]
}

async function watched(settings: Record<string, string> = {}): Promise<Watched> {
  const server = await testServer({ settings })
  t.teardown(() => server.close())
  const seen: Seen[] = []
  return {
    ...server,
    seen,
    async inject(options) {
      const answer = await server.inject(options)
      seen.push({
        method: String(options.method),
        url: String(options.url),
        status: answer.statusCode,
        cookies: [answer.headers['set-cookie'] ?? []].flat(),
      })
      return answer
    },
  }
}

const login = (username: string) => ({ form: '/login', fill: { username, password: PASSWORD } })
const flowOf = ({ url, location }: Page) => new URL(location ?? url, url).searchParams.get('flow') ?? ''
const formOf = (page: Page, path: string): Record<string, string> =>
  Object.fromEntries(page.form(path).fields)

/** A user with an authenticator app, and the code it shows. */
async function withApp(user: User): Promise<() => string> {
  const { secondFactors } = server.deps.accounts
  const { secret, pending } = secondFactors.startTotpSetup(user)
  const code = () => {
    server.clock.tick(30)
    return TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: server.clock.now() * 1000 })
  }
  if ((await secondFactors.confirmTotpSetup(user, pending, code(), CONTEXT)) !== 'confirmed')
    throw new Error('no app')
  return code
}

/** The same cookies, in another browser. */
function copyOf(browser: Browser, ...names: readonly string[]): Browser {
  const copy = openBrowser(server)
  for (const [name, cookie] of browser.jar) if (names.includes(name)) copy.jar.set(name, cookie)
  return copy
}

t.test(
  'a login started by an attacker’s link cannot be continued by the victim (RFC 6749 §10.12; docs/security.md C41, P22)',
  async (t) => {
    const code = await withApp(bob)
    t.teardown(() => server.deps.accounts.secondFactors.removeTotp(bob, CONTEXT))
    const mallory = openBrowser(server)
    const request = { client_id: 'own', prompt: 'login' }
    const first = await mallory.open(authorizeUrl(request))
    // Bob’s account belongs to the attacker, who knows its password and has its authenticator.
    const factorPage = await mallory.submit(first, login('bob'))
    t.equal(factorPage.path, '/login/second-factor')
    const proven = await mallory.send(factorPage, { form: '/login/second-factor', fill: { code: code() } })

    const victim = openBrowser(server)
    await victim.open(authorizeUrl(request))
    for (const [label, path, flow] of [
      ['the login page', '/login', flowOf(first)],
      ['a password that was proven', '/login/second-factor', flowOf(factorPage)],
      ['a sign-in that is done', AUTHORIZE, flowOf(proven)],
      ['a page of consent', '/consent', flowOf(proven)],
      ['a factor to be set up', '/account/second-factor', flowOf(proven)],
    ] as const) {
      const page = await victim.open(`${path}?${new URLSearchParams({ flow })}`, { from: 'cross-site' })
      userGetsError(t, page, label)
      t.equal(victim.cookies().has(SESSION), false, label)
    }
    const form = { ...formOf(factorPage, '/login/second-factor'), code: code() }
    for (const from of ['cross-site', 'same-origin'] as const) {
      const page = await victim.request('/login/second-factor', {
        method: 'POST',
        body: encodeForm(form),
        from,
      })
      t.equal(page.status, 403, from)
    }
    t.equal(victim.cookies().has(SESSION), false)
    t.ok((await mallory.open(proven.location ?? '')).away, 'the flow continues where it began')
  },
)

async function goThroughLogin(browser: Browser, username: string, url: string): Promise<Page> {
  return browser.submit(await browser.open(url), login(username))
}

t.test(
  'an attacker’s earlier copy of a shared browser’s cookies is useless after the user signs in (RFC 6749 §10.12; docs/security.md C41, P23)',
  async (t) => {
    const shared = openBrowser(server)
    const url = authorizeUrl({ client_id: 'own' })
    const left = await shared.open(url)
    const before = copyOf(shared, BROWSER)
    const done = await shared.send(left, login('alice'))
    t.ok(
      (await shared.open(done.location ?? '')).away,
      'the victim signs in through the page that the attacker left open',
    )

    t.equal((await before.open(url)).path, '/login', 'the copied cookies are not signed in')
    t.equal((await before.open('/account')).path, '/login')
    const later = await before.open(done.location ?? '')
    t.equal(later.path, '/login', 'nor with the URL in the history, which marks the login as done')
    const session = shared.cookies().get(SESSION) ?? ''
    t.equal(before.cookies().has(SESSION), false)
    const account = await shared.open('/account')
    const csrf = String(formOf(left, '/login').csrf)
    const { path } = { path: '/account/sign-ins/end' }
    const forged = await shared.request(path, {
      method: 'POST',
      body: encodeForm({ csrf, all: 'yes' }),
      from: 'same-origin',
    })
    t.equal(forged.status, 403, 'a CSRF token from before the login is invalid after it')
    t.equal(account.status, 200)
    t.equal(shared.cookies().get(SESSION), session)
  },
)

t.test(
  'a cookie planted by an attacker is not accepted (RFC 6265bis §4.1.3.2; docs/security.md C41)',
  async (t) => {
    const mallory = openBrowser(server)
    await goThroughLogin(mallory, 'bob', authorizeUrl({ client_id: 'own' }))
    const secret = mallory.cookies().get(SESSION) ?? ''
    t.match(secret, /^[\w-]{43}$/)
    // From a sibling host, or over plain http, an attacker cannot set cookies with the prefix (the browser in these
    // tests refuses them too), so look-alikes are set instead.
    for (const name of [
      'keyturn-session',
      '__Secure-keyturn-session',
      '__host-keyturn-session',
      `${SESSION}2`,
    ]) {
      const victim = openBrowser(server)
      const attributes = { path: '/', domain: 'issuer.test' }
      victim.jar.set(name, { name, value: secret, attributes, until: Infinity })
      const page = await victim.open('/account')
      t.equal(page.path, '/login', name)
      t.notMatch(page.body, '<bdi>bob<', name)
      const signedIn = await victim.submit(page, login('alice'))
      t.match(signedIn.body, 'alice')
      t.not(victim.cookies().get(SESSION), secret)
    }
    t.match((await mallory.open('/account')).body, '<bdi>bob<', 'the user’s own cookie is unchanged')
  },
)

t.test(
  'a cross-site POST finds the user signed in and changes no cookie (RFC 6749 §3.1, RFC 6749 §10.12; docs/security.md C28, C41)',
  async (t) => {
    const victim = openBrowser(server)
    const url = authorizeUrl({ client_id: 'own' })
    await signIn(victim, { client_id: 'own' })
    const tab = await victim.open(authorizeUrl())
    t.equal(tab.path, '/consent')
    const cookies = victim.cookies()
    for (const path of [
      '/login',
      '/consent',
      '/account/password',
      '/account/invitation',
      '/account/invitation/confirm',
      '/account/invitation/passkey',
      '/account/reset',
      '/account/reset/confirm',
      '/account/reset/passkey',
      '/oauth2/logout/confirm',
      '/login/passkey',
    ]) {
      const page = await victim.request(path, { method: 'POST', body: 'a=b', from: 'cross-site' })
      t.equal(page.status, 403, path)
    }
    const body = url.slice(url.indexOf('?') + 1)
    const posted = await victim.request(AUTHORIZE, { method: 'POST', body, from: 'cross-site' })
    t.equal(posted.status, 303)
    t.same(victim.cookies(), cookies, 'responses to requests without cookies set none')
    t.ok((await victim.open(posted.location ?? '')).away?.params.has('code'), 'no one signs in twice')
    await victim.open('/oauth2/logout', { method: 'POST', body: 'state=x', from: 'cross-site' })
    t.same(victim.cookies(), cookies)
    t.ok((await victim.submit(tab, { form: '/consent', press: 'allow' })).away, 'the other tab continues')
  },
)

t.test(
  'no kind of token is accepted in place of another (RFC 8725 §3.12; docs/security.md H90, M138, N147)',
  async (t) => {
    const browser = openBrowser(server)
    const { code } = await signIn(browser, { client_id: 'own' })
    const as = { as: 'own', form: { redirect_uri: OWN_REDIRECT } }
    const { id_token, access_token, refresh_token } = tokensOf(await redeem(server, code, as))
    const others = tokensOf(await redeem(server, (await signIn(browser)).code))
    const userinfo = async (token: string) =>
      (await server.inject({ url: '/oauth2/userinfo', headers: { authorization: `Bearer ${token}` } })).json()
        .error
    t.same([await userinfo(id_token), await userinfo(refresh_token)], ['invalid_token', 'invalid_token'])
    t.equal(await userinfo(access_token), undefined)

    for (const [label, hint, error] of [
      ['an access token', access_token, 'invalid_request'],
      ['a refresh token', refresh_token, 'invalid_request'],
      ['an ID token of another client', others.id_token, 'invalid_request'],
      ['its own', id_token, null],
    ] as const) {
      const page = await browser.open(authorizeUrl({ client_id: 'own', prompt: 'none', id_token_hint: hint }))
      t.equal(page.away?.params.get('error'), error, label)
    }
    for (const id_token_hint of [access_token, refresh_token]) {
      const query = new URLSearchParams({ id_token_hint, client_id: 'own' })
      const page = await browser.open(`/oauth2/logout?${query}`)
      t.ok(page.form('/oauth2/logout/confirm'), 'the user is asked')
    }
    for (const token of [id_token, access_token]) {
      const form = { grant_type: 'refresh_token', refresh_token: token }
      const answer = await post(server, '/oauth2/token', form, { authorization: basic('own') })
      t.equal(answer.json().error, 'invalid_grant')
    }
    const introspection = await post(
      server,
      '/oauth2/introspect',
      { token: id_token },
      { authorization: basic('own') },
    )
    t.same(introspection.json(), { active: false })
  },
)

/** The server, for libraries that speak HTTP. */
function fetchOf(server: TestServer, calls: string[] = []) {
  return async (url: string, { method = 'GET', headers = {}, body }: oidc.CustomFetchOptions) => {
    const { origin, pathname, search } = new URL(url)
    calls.push(pathname)
    if (origin !== server.config.issuer) throw new Error(`${url} is not asked`)
    const answer = await server.inject({
      method: method as 'GET',
      url: pathname + search,
      headers: { ...headers },
      ...(body === undefined || body === null ? {} : { payload: String(body) }),
    })
    const text = answer.statusCode === 204 ? null : answer.body
    return new Response(text, {
      status: answer.statusCode,
      headers: { 'content-type': String(answer.headers['content-type']) },
    })
  }
}

async function metadataOf(server: TestServer): Promise<oauth.AuthorizationServer> {
  const url = new URL(server.config.issuer)
  const custom = fetchOf(server) as never
  return oauth.processDiscoveryResponse(
    url,
    await oauth.discoveryRequest(url, { [oauth.customFetch]: custom }),
  )
}

/** A session at an honest client: what the client stored, and where it redirects the browser. */
async function atClient(client_id: string, pkce = true) {
  const as = await metadataOf(server)
  const client: oauth.Client = { client_id }
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const verifier = oauth.generateRandomCodeVerifier()
  const challenge = await oauth.calculatePKCECodeChallenge(verifier)
  const url = authorizeUrl({
    client_id,
    state,
    nonce,
    code_challenge: pkce ? challenge : undefined,
    code_challenge_method: pkce ? 'S256' : undefined,
  })

  async function callback(given: URLSearchParams) {
    const checked = oauth.validateAuthResponse(as, client, given, state)
    const options = { [oauth.customFetch]: fetchOf(server) as never }
    const answer = await oauth.authorizationCodeGrantRequest(
      as,
      client,
      oauth.ClientSecretBasic(SECRET),
      checked,
      WEB_REDIRECT,
      pkce ? verifier : oauth.nopkce,
      options,
    )
    return oauth.processAuthorizationCodeResponse(as, client, answer, {
      expectedNonce: nonce,
      requireIdToken: true,
    })
  }
  /** The callback as an attacker would write it: with the attacker’s state and a code from elsewhere. */
  const forged = (code: string) => new URLSearchParams({ code, state, iss: ISSUER })
  return { url, callback, forged }
}

/** The error with which the library or the server refuses. */
async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'accepted'
  } catch (error) {
    const { error: errorCode, message } = error as oauth.ResponseBodyError
    return errorCode ?? message
  }
}

for (const [client_id, pkce, why] of [
  ['web', true, 'invalid_grant'],
  ['lax', false, 'unexpected ID Token "nonce" claim value'],
] as const) {
  t.test(
    `a victim’s code in an attacker’s session is refused ${pkce ? 'by PKCE' : 'by the nonce'} (RFC 9700 §4.5; docs/security.md D50, P8)`,
    async (t) => {
      const attacker = await atClient(client_id, pkce)
      const victims = await atClient(client_id, pkce)
      const { code } = await signIn(openBrowser(server), {}, { url: victims.url })
      t.equal(
        await refusal(attacker.callback(attacker.forged(code))),
        why,
        'the victim’s code, in the attacker’s session',
      )
      if (pkce) {
        const own = new URLSearchParams((await signIn(openBrowser(server), {}, { url: victims.url })).params)
        t.ok((await victims.callback(own)).access_token, 'it is valid in the victim’s session')
      }

      const { params } = await signIn(openBrowser(server), {}, { url: attacker.url, username: 'bob' })
      t.match(
        await refusal(victims.callback(params)),
        /state/,
        'the attacker’s response in the victim’s session',
      )
      const withState = victims.forged(params.get('code') ?? '')
      t.equal(await refusal(victims.callback(withState)), why, 'even with the victim’s state')
    },
  )
}

t.test(
  'the iss parameter prevents mix-up attacks, for errors too (RFC 9207 §2.4; docs/security.md C37)',
  async (t) => {
    const mallory = await watched({ ISSUER: 'https://mallory.test' })
    const honest = await metadataOf(server)
    const attacker = await metadataOf(mallory)
    for (const as of [honest, attacker]) {
      t.equal(as.authorization_response_iss_parameter_supported, true)
    }
    const browser = openBrowser(server)
    const good = await signIn(browser, {}, {})
    const declined = await browser.open(authorizeUrl({ prompt: 'none', max_age: '0' }))
    const client: oauth.Client = { client_id: 'web' }
    for (const [label, params] of Object.entries({
      'a code': good.params,
      'an error': declined.away?.params ?? new URLSearchParams(),
    })) {
      t.equal(params.get('iss'), ISSUER, label)
      const stripped = new URLSearchParams([...params].filter(([name]) => name !== 'iss'))
      // The client has redirected the user to the attacker’s issuer, which redirected on to the honest one.
      for (const [what, answer] of [
        ['as it came', params],
        ['without iss', stripped],
      ] as const) {
        const errorCode = await refusal(
          (async () => oauth.validateAuthResponse(attacker, client, answer, 'the state'))(),
        )
        t.match(errorCode, /iss/, `oauth4webapi, ${label} ${what}`)
      }

      const calls: string[] = []
      const config = await oidc.discovery(
        new URL(mallory.config.issuer),
        'web',
        undefined,
        oidc.ClientSecretBasic(SECRET),
        { [oidc.customFetch]: fetchOf(mallory, calls) as never },
      )
      calls.length = 0
      const errorCode = await refusal(
        oidc.authorizationCodeGrant(config, new URL(`${WEB_REDIRECT}?${params}`), {
          expectedState: 'the state',
          pkceCodeVerifier: 'x'.repeat(43),
        }),
      )
      t.match(errorCode, /iss|validation|invalid/i, `openid-client, ${label}: ${errorCode}`)
      t.same(calls, [], 'the attacker’s token endpoint has not received it')
    }
    t.equal((await redeem(server, good.code)).statusCode, 200, 'it is still valid at the right issuer')
  },
)

t.test(
  'prompt=login and max_age cannot be satisfied by an authenticator code alone (OpenID Connect Core §3.1.2.1; docs/security.md M137)',
  async (t) => {
    const code = await withApp(alice)
    t.teardown(() => server.deps.accounts.secondFactors.removeTotp(alice, CONTEXT))
    const open = openBrowser(server)
    const factorPage = await goThroughLogin(open, 'alice', authorizeUrl({ client_id: 'own' }))
    t.ok((await open.submit(factorPage, { form: '/login/second-factor', fill: { code: code() } })).away)
    // Someone else uses the browser, and has the phone.
    for (const overrides of [{ prompt: 'login' }, { max_age: '0' }, {}]) {
      const url = authorizeUrl({ client_id: 'own', ...overrides })
      const page =
        Object.keys(overrides).length > 0 ? await open.open(url) : await open.open('/login?account=other')
      const { csrf, flow } = formOf(page, '/login')
      const body = encodeForm({ csrf: String(csrf), flow: String(flow), code: code() })
      const answer = await open.request('/login/second-factor', { method: 'POST', body, from: 'same-origin' })
      t.match(answer.location, /^\/login\?/, JSON.stringify(overrides))
      t.equal((await open.open(answer.location ?? '')).path, '/login')
    }
  },
)

t.test(
  'amr lists what was verified, and a passkey login contains no pwd (OpenID Connect Core §2, §5.7; docs/security.md M136)',
  async (t) => {
    const { secondFactors } = server.deps.accounts
    const device = createAuthenticator({ origin: ISSUER, rpId: new URL(ISSUER).hostname })
    const registration = await secondFactors.startPasskeyRegistration(alice)
    const created = device.create(registration?.options as never)
    t.ok(
      await secondFactors.finishPasskeyRegistration(
        alice,
        'key',
        created,
        registration?.challenge ?? '',
        CONTEXT,
      ),
    )
    const code = await withApp(alice)
    t.teardown(async () => {
      await secondFactors.removeTotp(alice, CONTEXT)
      await secondFactors.removePasskey(alice, device.id, CONTEXT)
    })
    const browser = openBrowser(server)
    const page = await browser.open(authorizeUrl({ client_id: 'own' }))
    const challenge = await secondFactors.startPasskeyAuthentication(null)
    const { csrf, flow } = formOf(page, '/login/passkey')
    const credential = device.get(challenge?.options as never)
    const form = { csrf: String(csrf), flow: String(flow), credential, challenge: challenge?.challenge ?? '' }
    const alone = await browser.request('/login/passkey', {
      method: 'POST',
      body: encodeForm(form),
      from: 'same-origin',
    })
    const amr = async (answer: Page) => {
      const as = { as: 'own', form: { redirect_uri: OWN_REDIRECT } }
      return claimsOf(tokensOf(await redeem(server, answer.away?.params.get('code') ?? '', as)).id_token).amr
    }
    t.same(await amr(await browser.open(alone.location ?? '')), ['hwk', 'mfa', 'user'])
    const body = encodeForm({ csrf: String(csrf), flow: flowOf(alone), code: code() })
    await browser.open('/login/second-factor', { method: 'POST', body, from: 'same-origin' })
    t.same(await amr(await browser.open(authorizeUrl({ client_id: 'own' }))), ['hwk', 'mfa', 'user'])
  },
)

t.test(
  'a value issued for one purpose is not accepted for another (docs/security.md K123, K124, P22)',
  async (t) => {
    const browser = openBrowser(server)
    await signIn(browser, { client_id: 'own' })
    const params = authorizeParams({ client_id: 'pushes', redirect_uri: WEB_REDIRECT })
    const honest = await browser.open(`${AUTHORIZE}?${params}`)
    t.equal(honest.away?.params.get('error'), 'invalid_request', 'this client must push its requests')
    const signOut = await browser.open(`/oauth2/logout?${params}`)
    const logoutFlow = formOf(signOut, '/oauth2/logout/confirm').flow ?? ''
    const posted = await browser.request('/oauth2/logout', { method: 'POST', body: String(params) })
    const logoutArrival = new URL(posted.location ?? '', ISSUER).searchParams.get('arrival') ?? ''
    const returning = await browser.open('/login?account=other')
    const accountFlow = formOf(returning, '/login').flow ?? ''
    t.ok(logoutFlow !== '' && logoutArrival !== '' && accountFlow !== '')
    for (const flow of [logoutFlow, accountFlow, logoutArrival]) {
      for (const path of [AUTHORIZE, '/consent', '/account/second-factor']) {
        const page = await browser.open(`${path}?${new URLSearchParams({ flow })}`)
        t.notOk(page.away, path)
        if (path !== '/account/second-factor') userGetsError(t, page, path)
      }
    }
    for (const text of [logoutArrival, logoutFlow]) {
      userGetsError(t, await browser.open(`${AUTHORIZE}?${new URLSearchParams({ arrival: text })}`))
    }
    const arrived = await browser.request(AUTHORIZE, { method: 'POST', body: String(authorizeParams()) })
    const arrival = new URL(arrived.location ?? '', ISSUER).searchParams.get('arrival') ?? ''
    userGetsError(t, await browser.open(`/oauth2/logout?${new URLSearchParams({ arrival })}`))
    userGetsError(t, await browser.open(`/consent?${new URLSearchParams({ flow: arrival })}`))
    t.ok((await browser.open(authorizeUrl({ client_id: 'own' }))).away, 'no one was signed out by it')
  },
)

const ADDRESSES = ['src', 'href', 'action', 'formaction', 'data', 'poster', 'background']

/** URLs of other sites. */
const foreignIn = ({ body }: Page): string[] =>
  tags(body)
    .flatMap(({ attributes }) => ADDRESSES.map((name) => attributes.get(name) ?? ''))
    .filter((url) => /^(?:[a-z]+:)?[\\/]{2}/i.test(url))

/** Visits one page of every kind. */
async function everyPage(t: Test): Promise<Record<string, Page>> {
  const browser = openBrowser(server)
  const stranger = openBrowser(server)
  const pages: Record<string, Page> = {}
  pages.login = await browser.open(authorizeUrl())
  pages['wrong password'] = await browser.submit(pages.login, {
    form: '/login',
    fill: { username: 'alice', password: 'wrong' },
  })
  pages.consent = await browser.submit(pages.login, login('alice'))
  const code = await withApp(bob)
  t.teardown(() => server.deps.accounts.secondFactors.removeTotp(bob, CONTEXT))
  pages['second factor'] = await goThroughLogin(stranger, 'bob', authorizeUrl())
  pages['wrong code'] = await stranger.submit(pages['second factor'], {
    form: '/login/second-factor',
    fill: { code: '000000' },
  })
  code()
  pages['to be set up'] = await browser.open(
    authorizeUrl({ client_id: 'strict', redirect_uri: WEB_REDIRECT }),
  )
  for (const path of ['', '/password', '/totp', '/passkeys']) {
    pages[`account${path}`] = await browser.open(`/account${path}`)
  }
  pages['sign out?'] = await browser.open('/oauth2/logout')
  pages['signed out'] = await browser.open('/signed-out')
  pages['unknown client'] = await browser.open(authorizeUrl({ client_id: 'nobody' }))
  pages.expired = await browser.open('/consent?flow=x')
  pages.forged = await browser.request('/consent', { method: 'POST', body: 'a=b', from: 'cross-site' })
  pages['no form'] = await browser.request('/login', { method: 'POST', body: '%zz' })
  pages['too large'] = await browser.request('/login', { method: 'POST', body: `a=${'x'.repeat(70_000)}` })
  return pages
}

t.test(
  'no page can be framed, loads foreign content, sends a referrer or is cached (docs/security.md C40, C42, C43, A9)',
  async (t) => {
    for (const [label, page] of Object.entries(await everyPage(t))) {
      // A QR code is an inline image.
      const problems = protectionProblems(page).filter(
        (one) => !one.startsWith('img data:image/svg+xml;base64,'),
      )
      t.same(problems, [], label)
      t.same(foreignIn(page), [], label)
      const path = new URL(page.url).pathname
      const factorPage = await server.inject({
        method: 'OPTIONS',
        url: path,
        headers: { origin: 'https://mallory.test', 'access-control-request-method': 'POST' },
      })
      t.equal(factorPage.statusCode, 405, `${label}: no preflight`)
      const read = await server.inject({ method: 'GET', url: path, headers: { origin: 'null' } })
      for (const { headers } of [factorPage, read]) {
        t.same(
          Object.keys(headers).filter((name) => name.startsWith('access-control')),
          [],
          label,
        )
      }
    }
  },
)

t.test('with an issuer path everything stays below it except cookies', async (t) => {
  const tenant = await watched({ ISSUER: 'https://issuer.test/tenant' })
  await seedUsers(tenant.store)
  const browser = openBrowser(tenant)
  const start = await browser.open(`/tenant${authorizeUrl()}`)
  const consent = await browser.submit(start, login('alice'))
  t.equal((await completePages(browser, consent)).away?.params.get('iss'), 'https://issuer.test/tenant')
  const account = await browser.open('/tenant/account')
  for (const page of [start, consent, account, await browser.open('/tenant/consent?flow=x')]) {
    t.match(page.path, /^\/tenant\//)
    const addresses = [...page.links, ...page.forms.map(({ action }) => action)]
    const assets = [...page.body.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, url = '']) => url)
    for (const url of [...addresses, ...assets]) t.match(url, /^(?:\/tenant\/|#)/, page.path)
  }
  t.equal((await browser.request('/account')).status, 404)
  for (const { attributes } of browser.jar.values())
    t.equal(attributes.path, '/', 'required by the __Host- prefix')
})

t.test(
  'a form of a page that was shown for a client is refused if another client has its id now, or if the client must now push or sign its requests (RFC 6749 §10.12; docs/security.md K128)',
  async (t) => {
    const { store } = server
    const shop = codeClient({ id: 'shop', name: 'The shop' })
    await store.clients.insert(shop)
    const browser = openBrowser(server)
    await signIn(browser, { client_id: 'own' })
    const ask = () => browser.open(authorizeUrl({ client_id: 'shop' }))
    const allow = (page: Page) => browser.submit(page, { form: '/consent', press: 'allow' })

    const shown = await ask()
    t.match(shown.body, 'The shop')
    const stranger = openBrowser(server)
    const login = await stranger.open(authorizeUrl({ client_id: 'shop' }))
    await store.clients.delete('shop')
    await store.clients.insert({ ...shop, name: 'A stranger' })
    await server.poll()
    userGetsError(t, await allow(shown), 'consent to the deleted client')
    const fill = { username: 'alice', password: PASSWORD }
    userGetsError(t, await stranger.submit(login, { form: '/login', fill }), 'a login for the deleted client')

    const kept = await ask()
    await store.clients.update('shop', (client) => ({ ...client, name: 'The new shop', disabled: true }))
    await server.poll()
    userGetsError(t, await browser.open(kept.url), 'disabled')
    await store.clients.update('shop', (client) => ({ ...client, disabled: false }))
    await server.poll()
    t.ok((await allow(kept)).away?.params.has('code'), 'a user who waits on a page goes on')

    for (const member of ['requirePushedRequests', 'requireSignedRequests'] as const) {
      const plain = await ask()
      await store.clients.update('shop', (client) => ({ ...client, [member]: true }))
      await server.poll()
      userGetsError(t, await allow(plain), member)
      await store.clients.update('shop', (client) => ({ ...client, [member]: false }))
      await server.poll()
    }
  },
)

t.test(
  'all redirects used 303, and all cookies were well formed (RFC 9700 §4.12, RFC 6749 §10.12; docs/security.md C39, C41)',
  async (t) => {
    const redirects = server.seen.filter(({ status }) => status >= 300 && status < 400)
    t.ok(redirects.length > 50)
    t.same(
      redirects.filter(({ status }) => status !== 303),
      [],
    )
    const cookies = server.seen.flatMap(({ cookies }) => cookies)
    const names = new Set(cookies.map((line) => line.slice(0, line.indexOf('='))))
    t.same([...names].sort(), [BROWSER, SESSION])
    for (const line of new Set(cookies.map((line) => line.replace(/^[^;]*/, '')))) {
      t.match(line, /; Path=\/; .*HttpOnly; Secure; SameSite=Lax$/i)
      t.notMatch(line, /domain/i)
    }
    t.same(
      server.seen.filter(({ status }) => status >= 500),
      [],
      'and nothing the attacker sent caused a server error',
    )
  },
)
