/** Signing out at an application’s request (OpenID Connect RP-Initiated Logout), in the browser. */
import { generateKeyPairSync } from 'node:crypto'
import { CompactSign, UnsecuredJWT } from 'jose'
import t, { type Test } from 'tap'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import {
  authorizeUrl,
  codeClient,
  redeem,
  type SignedInTokens,
  seedUsers,
  signIn,
  tokensOf,
} from '../support/browser/sign-in.ts'
import { claimsOf, encodeForm, refresh } from '../support/server/requests.ts'
import { PASSWORD } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'

const LOGOUT = '/oauth2/logout'
const SESSION = '__Host-keyturn-session'
const OUT = 'https://app.test/signed-out'
const OUT_WITH_QUERY = 'https://app.test/signed-out?from=keyturn'

interface World {
  readonly server: TestServer
  readonly browser: Browser
  readonly tokens: SignedInTokens
}

/** Alice, signed in at `web`, which has two registered post-logout redirect URIs. */
async function world(t: Test, scope = 'openid'): Promise<World> {
  const server = await testServer()
  t.teardown(() => server.close())
  await seedUsers(server.store)
  await server.store.clients.update('web', () =>
    codeClient({ id: 'web', postLogoutRedirectUris: [OUT, OUT_WITH_QUERY], backchannelLogoutUri: null }),
  )
  await server.deps.registry.sync()
  const browser = openBrowser(server)
  return { server, browser, tokens: await at(server, browser, scope) }
}

const at = async (server: TestServer, browser: Browser, scope = 'openid') =>
  tokensOf(await redeem(server, (await signIn(browser, { scope })).code))

const url = (form: Record<string, string>) => `${LOGOUT}?${encodeForm(form)}`

/** Opens the endpoint as a link on the application’s page does. */
const openLogout = (browser: Browser, form: Record<string, string>) =>
  browser.open(url(form), { from: 'cross-site' })

async function isSignedIn(browser: Browser): Promise<boolean> {
  const { away, status } = await browser.open(authorizeUrl({ prompt: 'none' }))
  if (!away) throw new Error(`no answer but ${status}`)
  return away.params.get('error') !== 'login_required'
}

const refreshes = async ({ server, tokens }: World) =>
  (await refresh(server, tokens.refresh_token, {}, 'web')).statusCode === 200

async function stillSignedIn(t: Test, w: World, page: Page, what: string) {
  t.equal(page.away, null, `${what}: not redirected`)
  t.notMatch(page.body, /http-equiv|evil|app\.test/, `${what}: not redirected by the page’s content either`)
  t.ok(await isSignedIn(w.browser), `${what}: still signed in`)
}

/** The confirmation page; then the user confirms. */
async function confirmSignOut(t: Test, w: World, page: Page, what: string): Promise<Page> {
  t.equal(page.status, 200, what)
  await stillSignedIn(t, w, page, what)
  return w.browser.submit(page, { form: '/logout/confirm', press: 'sign-out' })
}

t.test(
  'the metadata contains the end_session_endpoint (rp-initiated-logout: discovery-endpoint-verification)',
  async (t) => {
    const { server } = await world(t)
    const metadata = (await server.inject({ url: '/.well-known/openid-configuration' })).json()
    t.equal(metadata.end_session_endpoint, `${server.config.issuer}${LOGOUT}`)
    t.equal(metadata.backchannel_logout_supported, true)
    t.equal(metadata.backchannel_logout_session_supported, true)
  },
)

for (const method of ['GET', 'POST'] as const) {
  t.test(
    `${method}: a request with an ID token and a registered URI signs out and redirects with state (rp-initiated-logout: happy path, RP-Initiated Logout §2; docs/security.md N145, N148)`,
    async (t) => {
      const w = await world(t)
      const form = { id_token_hint: w.tokens.id_token, post_logout_redirect_uri: OUT, state: 'a b&c=é' }
      const page =
        method === 'GET'
          ? await openLogout(w.browser, form)
          : await w.browser.open(LOGOUT, { method, body: encodeForm(form), from: 'cross-site' })
      t.equal(page.status, 303)
      t.equal(page.away?.url.startsWith(`${OUT}?`), true)
      t.same([...(page.away?.params ?? [])], [['state', 'a b&c=é']])
      t.notOk(w.browser.cookies().has(SESSION))
      t.notOk(await isSignedIn(w.browser))
      t.notOk(await refreshes(w))
      t.match(w.server.logger.audits('user_session.ended'), [{ reason: 'signed out', actor: /^user:u_/ }])
    },
  )
}

t.test('no state is returned if none was sent (rp-initiated-logout: no-state)', async (t) => {
  const w = await world(t)
  const page = await openLogout(w.browser, {
    id_token_hint: w.tokens.id_token,
    post_logout_redirect_uri: OUT,
  })
  t.equal(page.away?.url, OUT)
  t.notOk(await isSignedIn(w.browser))
})

t.test(
  'a query in the registered post-logout redirect URI is kept (RP-Initiated Logout §2, §3; docs/security.md N148)',
  async (t) => {
    const w = await world(t)
    const page = await openLogout(w.browser, {
      id_token_hint: w.tokens.id_token,
      post_logout_redirect_uri: OUT_WITH_QUERY,
      state: 's',
    })
    t.equal(page.away?.url, `${OUT_WITH_QUERY}&state=s`)
  },
)

t.test(
  'a request with only an ID token signs the user out here (rp-initiated-logout: no-post-logout-redirect-uri)',
  async (t) => {
    for (const more of [{}, { state: 's' }, { client_id: 'web' }] as Record<string, string>[]) {
      const w = await world(t)
      const page = await openLogout(w.browser, { id_token_hint: w.tokens.id_token, ...more })
      t.same([page.status, page.away], [200, null])
      t.match(page.body, /You are signed out/)
      t.notOk(w.browser.cookies().has(SESSION))
      t.notOk(await isSignedIn(w.browser))
    }
  },
)

t.test(
  'an unregistered redirect URI shows an error page and does not sign out (rp-initiated-logout: bad-post-logout-redirect-uri, query-added-to-post-logout-redirect-uri, RP-Initiated Logout §3, §4; docs/security.md N147)',
  async (t) => {
    const w = await world(t)
    for (const address of [
      'https://evil.test/',
      `${OUT}?added=1`,
      `${OUT_WITH_QUERY}&more`,
      `${OUT}#x`,
      `${OUT}/`,
      OUT.toUpperCase(),
      'https://app.test.evil.test/signed-out',
      'https://app.test@evil.test/signed-out',
      'javascript:alert(1)',
      'https://app.test/callback',
    ]) {
      const form = {
        id_token_hint: w.tokens.id_token,
        post_logout_redirect_uri: address,
        state: 's',
      }
      const page = await openLogout(w.browser, form)
      t.equal(page.status, 400, address)
      await stillSignedIn(t, w, { ...page, body: page.body.replace(/<[^>]*>/g, '') }, address)
    }
    t.ok(await refreshes(w))
  },
)

async function foreignHint({ tokens }: World): Promise<string> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const header = JSON.parse(Buffer.from(tokens.id_token.split('.')[0] ?? '', 'base64url').toString())
  return new CompactSign(Buffer.from(JSON.stringify(claimsOf(tokens.id_token))))
    .setProtectedHeader(header)
    .sign(privateKey)
}

t.test(
  'a forged id_token_hint leads at most to the confirmation page, and to no redirect (rp-initiated-logout: modified-id-token-hint, bad-id-token-hint, RP-Initiated Logout §2, RP-Initiated Logout §3; docs/security.md N146, N147)',
  async (t) => {
    const w = await world(t)
    const hints = {
      'alg none': new UnsecuredJWT(claimsOf(w.tokens.id_token)).encode(),
      'another key': await foreignHint(w),
      'an access token': w.tokens.access_token,
      nonsense: 'x.y.z',
    }
    for (const [what, id_token_hint] of Object.entries(hints)) {
      const page = await openLogout(w.browser, { id_token_hint, post_logout_redirect_uri: OUT, state: 's' })
      await stillSignedIn(t, w, page, what)
    }
    const page = await openLogout(w.browser, {
      id_token_hint: hints['alg none'],
      post_logout_redirect_uri: OUT,
    })
    const end = await confirmSignOut(t, w, page, 'asked')
    t.same([end.path, end.away], ['/signed-out', null], 'signed out and not redirected')
    t.notOk(await isSignedIn(w.browser))
  },
)

t.test(
  'without an id_token_hint the user is asked, and stays signed in on refusal (rp-initiated-logout: no-id-token-hint, no-params, only-state, RP-Initiated Logout §2; docs/security.md N146)',
  async (t) => {
    const w = await world(t)
    for (const form of [
      {},
      { state: 's' },
      { post_logout_redirect_uri: OUT, state: 's' },
      { client_id: 'web' },
    ] as Record<string, string>[]) {
      const what = JSON.stringify(form)
      const page = await openLogout(w.browser, form)
      t.match(page.body, /Sign out of Keyturn\?/, what)
      await stillSignedIn(t, w, page, what)
      const declined = await w.browser.submit(page, { form: '/logout/confirm', press: 'stay' })
      t.same([declined.path, declined.status], ['/account', 200], what)
    }
    t.ok(await refreshes(w))
    for (const form of [{}, { state: 's' }, { post_logout_redirect_uri: OUT }] as Record<string, string>[]) {
      const browser = openBrowser(w.server)
      const other = { ...w, browser, tokens: await at(w.server, browser) }
      const end = await confirmSignOut(t, other, await openLogout(browser, form), JSON.stringify(form))
      t.same([end.status, end.path, end.away], [200, '/signed-out', null], 'and never redirected')
      t.notOk(browser.cookies().has(SESSION))
      t.notOk(await isSignedIn(browser))
      t.notOk(await refreshes(other))
    }
    t.ok(await isSignedIn(w.browser), 'only this browser was signed out')
  },
)

t.test(
  'with client_id instead of an id_token_hint, the user confirms and is redirected with state (RP-Initiated Logout §2, §3; docs/security.md N146, N147)',
  async (t) => {
    const w = await world(t)
    const form = { client_id: 'web', post_logout_redirect_uri: OUT, state: 'a b' }
    const page = await openLogout(w.browser, form)
    t.same([page.status, page.away], [200, null], 'the user is asked first')
    t.ok(await isSignedIn(w.browser))
    const declined = await w.browser.submit(page, { form: '/logout/confirm', press: 'stay' })
    t.same([declined.path, declined.away], ['/account', null], 'a user who stays is not redirected')
    const end = await w.browser.submit(page, { form: '/logout/confirm', press: 'sign-out' })
    t.ok((end.away?.url ?? end.body).includes(`${OUT}?state=a+b`), 'redirected')
    t.notOk(await isSignedIn(w.browser))
    t.notOk(await refreshes(w))
    t.equal((await openLogout(w.browser, form)).away?.url, `${OUT}?state=a+b`, 'and when already signed out')
    const wrong = { client_id: 'web', post_logout_redirect_uri: 'https://evil.test/' }
    t.match(await openLogout(w.browser, wrong), { status: 400, away: null })
  },
)

t.test(
  'an ID token of another user or browser leads to the confirmation page (RP-Initiated Logout §2; docs/security.md N146)',
  async (t) => {
    const w = await world(t)
    const other = openBrowser(w.server)
    const bobs = tokensOf(await redeem(w.server, (await signIn(other, {}, { username: 'bob' })).code))
    const own = openBrowser(w.server)
    const login = await own.open('/account')
    await own.submit(login, { form: '/login', fill: { username: 'alice', password: PASSWORD } })
    for (const [what, browser, hint] of [
      ["another user's", w.browser, bobs.id_token],
      ['of another browser', own, w.tokens.id_token],
    ] as const) {
      const page = await openLogout(browser, {
        id_token_hint: hint,
        post_logout_redirect_uri: OUT,
        state: 's',
      })
      t.same([page.status, page.away], [200, null], what)
      t.match(
        page.body,
        /The web application<\/bdi> has signed you out\. Do you want/,
        'the page names the client',
      )
      t.equal((await browser.open('/account')).status, 200, 'still signed in')
      const end = await browser.submit(page, { form: '/logout/confirm', press: 'sign-out' })
      const onward = end.away?.url ?? end.body
      t.ok(onward.includes(`${OUT}?state=s`), 'the user confirms and is redirected')
      t.equal((await browser.open('/account')).path, '/login')
    }
    t.equal((await other.open('/account')).status, 200, 'no one else was signed out')
  },
)

t.test(
  'client_id must match the id_token_hint, and no parameter may be repeated (RP-Initiated Logout §2, §3; docs/security.md N148)',
  async (t) => {
    const w = await world(t)
    const hint = w.tokens.id_token
    for (const query of [
      `id_token_hint=${hint}&client_id=own&post_logout_redirect_uri=${encodeURIComponent(OUT)}`,
      `id_token_hint=${hint}&id_token_hint=${hint}`,
      `id_token_hint=${hint}&state=1&state=2`,
    ]) {
      const page = await w.browser.open(`${LOGOUT}?${query}`, { from: 'cross-site' })
      t.equal(page.status, 400)
      await stillSignedIn(t, w, page, query.slice(-40))
    }
    const both = await w.browser.open(`${LOGOUT}?state=1`, {
      method: 'POST',
      body: encodeForm({ id_token_hint: hint }),
      from: 'cross-site',
    })
    t.equal(both.status, 400, 'nor parameters in both places')
    t.ok(await isSignedIn(w.browser))
  },
)

t.test(
  'a user who has already signed out is told so or redirected (RP-Initiated Logout §4; docs/security.md N147)',
  async (t) => {
    const { server, tokens } = await world(t)
    const browser = openBrowser(server)
    t.match((await openLogout(browser, {})).body, /You are signed out/)
    const hinted = { id_token_hint: tokens.id_token, post_logout_redirect_uri: OUT }
    t.equal((await openLogout(browser, hinted)).away?.url, OUT)
    t.equal((await openLogout(browser, { post_logout_redirect_uri: OUT })).away, null)
    server.clock.tick(86_400)
    t.equal((await openLogout(browser, hinted)).away?.url, OUT, 'with an expired token too')
  },
)

t.test(
  'sign-out keeps offline sessions and ends all others (Back-Channel Logout §2.7; docs/security.md N150)',
  async (t) => {
    const w = await world(t)
    const offline = { ...w, tokens: await at(w.server, w.browser, 'openid offline_access') }
    await openLogout(w.browser, { id_token_hint: w.tokens.id_token })
    t.notOk(await refreshes(w))
    t.ok(await refreshes(offline))
  },
)

t.test(
  'sign-out notifies the client by back channel, and prompt=none fails afterwards (backchannel-rp-initiated-logout)',
  async (t) => {
    const logoutTokens: { uri: string; token: string }[] = []
    const server = await testServer({
      sendLogoutToken: async (uri, token) => {
        logoutTokens.push({ uri, token })
      },
    })
    t.teardown(() => server.close())
    await seedUsers(server.store)
    await server.store.clients.update('web', () =>
      codeClient({ id: 'web', backchannelLogoutUri: 'https://app.test/backchannel' }),
    )
    await server.deps.registry.sync()
    const browser = openBrowser(server)
    const tokens = await at(server, browser)
    await openLogout(browser, { id_token_hint: tokens.id_token })
    await server.poll()
    await server.deps.jobs.stop()
    t.equal(logoutTokens.length, 1)
    const claims = claimsOf(tokens.id_token)
    t.match(claimsOf(logoutTokens[0]?.token ?? ''), { sub: claims.sub, sid: claims.sid, aud: 'web' })
    t.notOk(await isSignedIn(browser))
  },
)

t.test(
  'the sign-out confirmation is accepted only from our own page (RFC 6749 §10.12; docs/security.md C41, P29)',
  async (t) => {
    const w = await world(t)
    const page = await openLogout(w.browser, {})
    const { fields, action } = page.form('/logout/confirm')
    const flow = fields.get('flow') ?? ''
    const bob = openBrowser(w.server)
    await signIn(bob, {}, { username: 'bob' })
    const bobs = (await openLogout(bob, {})).form('/logout/confirm').fields
    for (const [what, form] of Object.entries({
      'no token': { flow },
      "another's token": { flow, csrf: bobs.get('csrf') ?? '' },
    })) {
      const body = encodeForm({ ...form, decision: 'sign-out' } as Record<string, string>)
      const answer = await w.browser.request(action, { method: 'POST', body, from: 'same-origin' })
      t.equal(answer.status, 403, what)
    }
    const csrf = fields.get('csrf') ?? ''
    const sent = { csrf, flow, decision: 'sign-out' }
    const cookie = [...w.browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')
    for (const site of ['cross-site', 'same-site']) {
      const headers = { cookie, 'sec-fetch-site': site }
      const answer = await w.browser.request(action, { method: 'POST', body: encodeForm(sent), headers })
      t.equal(answer.status, 403, `from a page that is ${site}, even with the token`)
    }
    const foreign = encodeForm({ ...sent, flow: bobs.get('flow') ?? '' })
    const expired = await w.browser.request(action, { method: 'POST', body: foreign, from: 'same-origin' })
    t.equal(expired.status, 400, 'another browser’s confirmation is not accepted here')
    const invalidDecision = encodeForm({ csrf, flow, decision: 'perhaps' })
    t.equal(
      (await w.browser.request(action, { method: 'POST', body: invalidDecision, from: 'same-origin' }))
        .status,
      400,
    )
    t.ok(await isSignedIn(w.browser))
    w.server.clock.tick(3601)
    const late = await w.browser.send(page, { form: '/logout/confirm', press: 'sign-out' })
    t.equal(late.status, 400, 'a page of an hour ago has expired')
  },
)

t.test(
  'the sign-out result page is shown only after a recent sign-out here (RP-Initiated Logout §3, §4; docs/security.md N147)',
  async (t) => {
    const w = await world(t)
    const posted = await w.browser.request(LOGOUT, {
      method: 'POST',
      body: encodeForm({ id_token_hint: w.tokens.id_token }),
      from: 'cross-site',
    })
    t.equal(posted.status, 303)
    const arrival = posted.location ?? ''
    for (const broken of [`${LOGOUT}?arrival=x`, `${arrival}x`]) {
      t.equal((await w.browser.open(broken)).status, 400, broken.slice(0, 30))
    }
    t.ok(await isSignedIn(w.browser))
    const toAuthorize = await w.browser.open(arrival.replace(LOGOUT, '/oauth2/authorize'))
    t.equal(toAuthorize.status, 400, 'nor a value of the authorization endpoint')
    t.match((await w.browser.open(arrival)).body, /You are signed out/)
    w.server.clock.tick(3601)
    t.equal((await w.browser.open(arrival)).status, 400)
  },
)
