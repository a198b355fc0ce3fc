import t from 'tap'
import { type Browser, openBrowser, type Page } from '../support/browser/browser.ts'
import { clientGetsError, protectionProblems, userGetsError } from '../support/browser/page-assertions.ts'
import {
  AUTHORIZE,
  authorizeParams,
  authorizeUrl,
  CHALLENGE,
  codeClient,
  type Overrides,
  redeem,
  SPA_REDIRECT,
  seedUsers,
  signIn,
  tokensOf,
  VERIFIER,
  WEB_REDIRECT,
} from '../support/browser/sign-in.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { claimsOf } from '../support/server/requests.ts'
import { ORDERS, STOCK } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
const { alice } = await seedUsers(server.store)
await server.store.clients.insert(
  codeClient({ id: 'two', redirectUris: [WEB_REDIRECT, 'https://app.test/b'] }),
)
await server.store.clients.insert(
  codeClient({ id: 'query', redirectUris: ['https://app.test/cb?tenant=a%20b'] }),
)
await server.store.clients.insert(codeClient({ id: 'off', disabled: true }))
await server.store.clients.insert(codeClient({ id: 'no-openid', scopes: ['orders:read'] }))
await server.store.clients.insert(codeClient({ id: 'strict', pkce: 'required' }))

/** A signed-in user who has consented to everything, so that only the request can be wrong. */
const known = openBrowser(server)
await signIn(known, { scope: undefined, resource: ORDERS }, { remember: true })

const NO_PKCE = { code_challenge: undefined, code_challenge_method: undefined }

const EVIL = `"><script>alert(1)</script>`
/** The raw query with one parameter replaced. */
const raw = (name: string, text: string) =>
  `${AUTHORIZE}?${authorizeParams({ [name]: undefined })}&${name}=${text}`.replace('?&', '?')

/** By GET while signed out, by GET while signed in, and by POST. */
async function everyWay(overrides: Overrides): Promise<Record<string, Page>> {
  const stranger = openBrowser(server)
  return {
    'a stranger': await stranger.request(authorizeUrl(overrides)),
    'a signed-in user': await known.request(authorizeUrl(overrides)),
    'by POST': await known.open(AUTHORIZE, {
      method: 'POST',
      body: authorizeParams(overrides).toString(),
      from: 'cross-site',
    }),
  }
}

t.test(
  'GET and POST of the same authorization request both return a code (RFC 6749 §3.1, RFC 9207 §2; docs/security.md C28, C37)',
  async (t) => {
    const get = await known.request(authorizeUrl())
    const post = await known.request(AUTHORIZE, {
      method: 'POST',
      body: String(authorizeParams()),
      from: 'cross-site',
    })
    t.equal(post.status, 303, 'and never 307, which would repeat the body (RFC 9700 §4.12)')
    for (const page of [get, await known.open(post.location ?? '')]) {
      t.equal(page.status, 303)
      t.match(page.location, /^https:\/\/app\.test\/callback\?code=ktc_[\w-]{43}&/)
      t.same([...(page.away?.params.keys() ?? [])], ['code', 'state', 'iss'])
      t.equal(page.away?.params.get('iss'), ISSUER)
    }
  },
)

t.test(
  'an unauthenticated user gets a login page, and nothing is stored (RFC 9700 §4.11.2; docs/security.md C38, Q20)',
  async (t) => {
    await writesNothing(t, server, async () => {
      for (const body of [undefined, String(authorizeParams())]) {
        const page = await openBrowser(server).open(
          body === undefined ? authorizeUrl() : AUTHORIZE,
          body === undefined ? {} : { method: 'POST', body, from: 'cross-site' },
        )
        t.same([page.status, page.path, protectionProblems(page)], [200, '/login', []])
      }
    })
  },
)

t.test(
  'other methods get 405, and scripts of other origins get no access (docs/security.md C28, C42, A1)',
  async (t) => {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const) {
      const headers = { origin: 'https://app.test', 'access-control-request-method': 'GET' }
      const answer = await server.inject({ method, url: authorizeUrl(), headers })
      t.equal(answer.statusCode, 405, method)
      t.match(answer.headers.allow, /GET.*POST/)
      t.equal(answer.headers['access-control-allow-origin'], undefined)
    }
    const withOrigin = await known.request(authorizeUrl(), { headers: { origin: 'https://app.test' } })
    t.equal(withOrigin.headers['access-control-allow-origin'], undefined)
  },
)

t.test(
  'without a valid client and redirect URI the user sees an error page and is not redirected (RFC 6749 §3.1.2.4, RFC 6749 §3.1.2.3; docs/security.md C29, C34)',
  async (t) => {
    const cases: Record<string, Overrides> = {
      'client_id missing': { client_id: undefined },
      'client_id empty': { client_id: '' },
      'client_id unknown': { client_id: 'nobody' },
      'client_id of a disabled client': { client_id: 'off' },
      'client_id of a machine': { client_id: 'machine' },
      'client_id of a user': { client_id: alice.id },
      'client_id in capitals': { client_id: 'WEB' },
      'client_id with a space behind it': { client_id: 'web ' },
      'client_id with a newline': { client_id: 'web\n' },
      'client_id endless': { client_id: 'w'.repeat(3000) },
      'client_id as markup': { client_id: EVIL },
      'client_id twice, the same': { client_id: ['web', 'web'] },
      'client_id twice, another': { client_id: ['web', 'lax'] },
      'redirect_uri missing, of two': { client_id: 'two', redirect_uri: undefined },
      'redirect_uri empty, of two': { client_id: 'two', redirect_uri: '' },
      'redirect_uri missing, in OpenID Connect': { redirect_uri: undefined },
      'redirect_uri of another client': { redirect_uri: 'https://spa.test/' },
      'redirect_uri unknown': { redirect_uri: 'https://evil.test/' },
      'redirect_uri as markup': { redirect_uri: EVIL },
      'redirect_uri endless': { redirect_uri: `${WEB_REDIRECT}?${'a'.repeat(5000)}` },
      'redirect_uri twice, the same': { redirect_uri: [WEB_REDIRECT, WEB_REDIRECT] },
      'redirect_uri twice, another behind it': { redirect_uri: [WEB_REDIRECT, 'https://evil.test/'] },
      'redirect_uri twice, another before it': { redirect_uri: ['https://evil.test/', WEB_REDIRECT] },
      'redirect_uri wrong, and everything else as well': {
        redirect_uri: 'https://evil.test/',
        response_type: 'token',
        scope: '"',
        state: EVIL,
      },
    }
    for (const [label, overrides] of Object.entries(cases)) {
      for (const [way, page] of Object.entries(await everyWay(overrides))) {
        userGetsError(t, page, `${label}, ${way}`, ['evil.test', EVIL])
      }
    }
  },
)

t.test(
  'malformed encoding in any parameter shows an error page (RFC 6749 Appendix B; docs/security.md A7)',
  async (t) => {
    const names = ['client_id', 'redirect_uri', 'scope', 'state', 'nonce', 'code_challenge', 'extra']
    const texts = ['%zz', '%', '%C0%80', '%00', 'a%00b', '%ED%A0%80', '%FF', '%E2%82']
    for (const name of names) {
      for (const text of texts) {
        userGetsError(t, await known.request(raw(name, text)), `${name}=${text}`)
        const body = raw(name, text).slice(AUTHORIZE.length + 1)
        userGetsError(t, await known.open(AUTHORIZE, { method: 'POST', body }), `${name}=${text}, by POST`)
      }
    }
    const many = Array.from({ length: 65 }, (_, i) => `x${i}=1`).join('&')
    userGetsError(t, await known.request(`${AUTHORIZE}?${many}`), '65 parameters')
    for (const type of ['application/json', 'multipart/form-data; boundary=x', 'text/plain']) {
      const page = await known.request(AUTHORIZE, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': type },
      })
      userGetsError(t, page, type)
    }
    userGetsError(
      t,
      await known.request(AUTHORIZE, { method: 'POST', body: `x=${'a'.repeat(70_000)}` }),
      'too large',
    )
  },
)

t.test(
  'a POST with query parameters shows an error page (RFC 6749 §3.1; docs/security.md A3, C28)',
  async (t) => {
    const body = String(authorizeParams({ state: undefined }))
    for (const url of [`${AUTHORIZE}?state=x`, authorizeUrl()]) {
      userGetsError(t, await known.open(url, { method: 'POST', body }), url)
    }
  },
)

t.test(
  'all other errors are returned to the client with their error code (docs/security.md A3, A4, C35, C45, C46, D52, D53, K125, M137)',
  async (t) => {
    const INVALID = 'invalid_request'
    const cases: Record<string, [string, Overrides]> = {
      'response_type missing': [INVALID, { response_type: undefined }],
      'response_type empty': [INVALID, { response_type: '' }],
      'response_type twice': [INVALID, { response_type: ['code', 'code'] }],
      'response_type token (RFC 9700 §2.1.2)': ['unsupported_response_type', { response_type: 'token' }],
      'response_type id_token': ['unsupported_response_type', { response_type: 'id_token' }],
      'response_type id_token token': ['unsupported_response_type', { response_type: 'id_token token' }],
      'response_type code token': ['unsupported_response_type', { response_type: 'code token' }],
      'response_type code id_token': ['unsupported_response_type', { response_type: 'code id_token' }],
      'response_type none': ['unsupported_response_type', { response_type: 'none' }],
      'response_type in capitals': ['unsupported_response_type', { response_type: 'CODE' }],
      'response_type with a space': ['unsupported_response_type', { response_type: 'code ' }],
      'response_mode fragment': [INVALID, { response_mode: 'fragment' }],
      'response_mode fragment.jwt': [INVALID, { response_mode: 'fragment.jwt' }],
      'response_mode web_message': [INVALID, { response_mode: 'web_message' }],
      'response_mode unknown': [INVALID, { response_mode: 'constructor' }],
      'response_mode twice': [INVALID, { response_mode: ['query', 'form_post'] }],
      'scope twice': [INVALID, { scope: ['openid', 'openid'] }],
      'scope malformed (RFC 6749 §3.3)': ['invalid_scope', { scope: 'openid "x"' }],
      'scope of spaces alone': ['invalid_scope', { scope: '  ' }],
      'scope with a tab': ['invalid_scope', { scope: 'openid\torders:read' }],
      'scope beyond ASCII': ['invalid_scope', { scope: 'openid é' }],
      'scope of which nothing can be granted': ['invalid_scope', { scope: 'admin root' }],
      'scope of two APIs (RFC 9068 §3)': ['invalid_scope', { scope: 'orders:read stock:read' }],
      'resource relative (RFC 8707 §2)': ['invalid_target', { resource: '/orders' }],
      'resource with a fragment': ['invalid_target', { resource: `${ORDERS}#x` }],
      'resource unknown': ['invalid_target', { resource: 'https://evil.test' }],
      'resource twice, another': ['invalid_target', { resource: [ORDERS, STOCK] }],
      'nonce twice': [INVALID, { nonce: ['a', 'a'] }],
      'nonce endless': [INVALID, { nonce: 'n'.repeat(1025) }],
      'code_challenge missing (RFC 7636 §4.4.1)': [INVALID, { client_id: 'strict', ...NO_PKCE }],
      ...Object.fromEntries(
        ['web', 'lax']
          .flatMap((client_id) => [
            { client_id, nonce: undefined },
            { client_id, nonce: '' },
            { client_id, scope: 'orders:read' },
            { client_id, scope: undefined },
            { client_id, scope: 'orders:read', nonce: undefined },
            { client_id: 'no-openid' },
          ])
          .map((leftOut) => [
            `neither code_challenge nor an ID token with a nonce (RFC 9700 §2.1.1): ${JSON.stringify(leftOut)}`,
            [INVALID, { ...NO_PKCE, ...leftOut }] as const,
          ]),
      ),
      'code_challenge empty': [
        INVALID,
        { client_id: 'strict', code_challenge: '', code_challenge_method: undefined },
      ],
      'code_challenge missing, with its method present': [INVALID, { code_challenge: undefined }],
      'code_challenge twice': [INVALID, { code_challenge: [CHALLENGE, CHALLENGE] }],
      'code_challenge of 42 letters': [INVALID, { code_challenge: CHALLENGE.slice(1) }],
      'code_challenge of 44 letters': [INVALID, { code_challenge: `${CHALLENGE}A` }],
      'code_challenge padded': [INVALID, { code_challenge: `${CHALLENGE}=` }],
      'code_challenge in plain base64': [INVALID, { code_challenge: `+${CHALLENGE.slice(1)}` }],
      'code_challenge with a newline': [INVALID, { code_challenge: `${CHALLENGE}\n` }],
      'code_challenge that no hash ends in': [INVALID, { code_challenge: `${CHALLENGE.slice(0, -1)}B` }],
      'code_challenge_method left out, which means plain': [INVALID, { code_challenge_method: undefined }],
      'code_challenge_method empty': [INVALID, { code_challenge_method: '' }],
      'code_challenge_method plain': [INVALID, { code_challenge_method: 'plain', code_challenge: VERIFIER }],
      'code_challenge_method s256': [INVALID, { code_challenge_method: 's256' }],
      'code_challenge_method S512': [INVALID, { code_challenge_method: 'S512' }],
      'code_challenge_method twice': [INVALID, { code_challenge_method: ['S256', 'S256'] }],
      'prompt unknown': [INVALID, { prompt: 'create' }],
      'prompt twice': [INVALID, { prompt: ['login', 'login'] }],
      'prompt none with login': [INVALID, { prompt: 'none login' }],
      'prompt consent with none': [INVALID, { prompt: 'consent none' }],
      'max_age negative': [INVALID, { max_age: '-1' }],
      'max_age no number': [INVALID, { max_age: 'soon' }],
      'max_age a fraction': [INVALID, { max_age: '1.5' }],
      'max_age with a sign': [INVALID, { max_age: '+1' }],
      'max_age in hexadecimal': [INVALID, { max_age: '0x10' }],
      'max_age in other digits': [INVALID, { max_age: '١' }],
      'max_age endless': [INVALID, { max_age: '9'.repeat(30) }],
      'max_age twice': [INVALID, { max_age: ['1', '1'] }],
      'claims no JSON': [INVALID, { claims: '{' }],
      'claims a list': [INVALID, { claims: '[]' }],
      'claims null': [INVALID, { claims: 'null' }],
      'claims with a list in it': [INVALID, { claims: '{"id_token":[]}' }],
      'claims with text in it': [INVALID, { claims: '{"userinfo":"email"}' }],
      'claims twice': [INVALID, { claims: ['{}', '{}'] }],
      'id_token_hint no token': [INVALID, { id_token_hint: 'x' }],
      'id_token_hint twice': [INVALID, { id_token_hint: ['x', 'x'] }],
      'login_hint twice': [INVALID, { login_hint: ['a', 'b'] }],
      'ui_locales twice': [INVALID, { ui_locales: ['de', 'en'] }],
      'acr_values twice': [INVALID, { acr_values: ['a', 'b'] }],
      'something unknown twice': [INVALID, { extra: ['a', 'b'] }],
      'request without a key to check it with': ['request_not_supported', { request: 'a.b.c' }],
      'request_uri to fetch from': [
        'request_uri_not_supported',
        { request_uri: 'https://app.test/request.jwt' },
      ],
      'request_uri that was never issued': [
        'invalid_request_uri',
        { request_uri: 'urn:ietf:params:oauth:request_uri:x' },
      ],
      'request and request_uri at once (RFC 9101 §5)': [INVALID, { request: 'a.b.c', request_uri: 'urn:x' }],
    }
    for (const [label, [error, overrides]] of Object.entries(cases)) {
      for (const [way, page] of Object.entries(await everyWay(overrides))) {
        clientGetsError(t, page, { error }, `${label}, ${way}`)
      }
    }
  },
)

t.test(
  'state is returned unchanged, in errors too, and never invented (RFC 6749 §4.1.2; docs/security.md C36)',
  async (t) => {
    const states = ['a b', 'a+b', '%', '%41', 'a&b=c', EVIL, '🔑 é', '#?/', 'x'.repeat(2000), "'`", 'code=1']
    for (const state of states) {
      clientGetsError(t, await known.request(authorizeUrl({ state, scope: 'x' })), {
        error: 'invalid_scope',
        state,
      })
      clientGetsError(
        t,
        await known
          .request(authorizeUrl({ state, prompt: 'x', response_mode: 'form_post' }))
          .then((page) => known.send(page)),
        { error: 'invalid_request', state },
      )
      for (const more of [{}, { response_mode: 'form_post' }]) {
        const page = await known.request(authorizeUrl({ state, ...more }))
        const { away } = page.away ? page : await known.send(page)
        t.equal(away?.params.get('state'), state)
      }
      const slowly = await signIn(openBrowser(server), { state })
      t.equal(slowly.params.get('state'), state, 'and after login and consent')
    }
    for (const state of [undefined, '']) {
      const { away } = await known.request(authorizeUrl({ state }))
      t.equal(away?.params.has('state'), false)
      clientGetsError(t, await known.request(authorizeUrl({ state, scope: 'x' })), {
        error: 'invalid_scope',
        state: null,
      })
    }
    const twice = await known.request(authorizeUrl({ state: ['a', 'b'] }))
    clientGetsError(t, twice, { error: 'invalid_request', state: null }, 'two state parameters are dropped')
  },
)

t.test(
  'unknown and empty parameters are ignored (RFC 6749 §3.1, OpenID Connect Core §15.1; docs/security.md A4, A5, M139)',
  async (t) => {
    const cases: Overrides[] = [
      { extra: 'foobar' },
      { flow: 'x' },
      { arrival: 'x' },
      { csrf: 'x', username: 'bob', password: 'x' },
      { __proto__x: '1', constructor: '1', toString: '1' },
      {
        display: 'popup',
        claims_locales: 'de',
        ui_locales: 'xx-YY *',
        login_hint: 'alice',
        acr_values: 'urn:x 1',
      },
      { ui_locales: `${'de-'.repeat(500)}` },
      {
        display: '',
        prompt: '',
        max_age: '',
        claims: '',
        resource: '',
        request: '',
        request_uri: '',
        nonce: '',
      },
      { registration: '{}', client_secret: 'x', client_assertion: 'x' },
      {
        claims:
          '{"id_token":{"picture":null,"__proto__":{"sub":1}},"userinfo":{"x":{"essential":true}},"y":1}',
      },
      { resource: [ORDERS, ORDERS] },
      { prompt: '  ' },
      { nonce: undefined },
    ]
    for (const overrides of cases) {
      const page = await known.request(authorizeUrl(overrides))
      t.ok(page.away?.params.has('code'), `${JSON.stringify(overrides)}: ${page.status} ${page.location}`)
      t.ok((await signIn(openBrowser(server), overrides)).code, 'and after login and consent')
    }
  },
)

t.test(
  'form_post returns a page whose form contains exactly the response and posts to the registered URI (OAuth 2.0 Form Post Response Mode, RFC 6749 §4.1.2; docs/security.md C46, C36)',
  async (t) => {
    const state = `${EVIL}'&amp;`
    const page = await known.request(authorizeUrl({ response_mode: 'form_post', state }))
    t.same(
      [page.status, page.location, protectionProblems(page, { postsToClient: true })],
      [200, undefined, []],
    )
    const form = page.form()
    t.equal(form.action, WEB_REDIRECT)
    t.equal(form.method, 'POST')
    t.same(
      [...form.fields.keys()],
      ['code', 'state', 'iss'],
      'the form contains none of our fields, and no CSRF token',
    )
    t.equal(form.fields.get('state'), state)
    t.equal(form.fields.get('iss'), ISSUER)
    tokensOf(await redeem(server, form.fields.get('code') ?? ''))
    t.notMatch(page.body, EVIL)

    const query = await known.request(
      authorizeUrl({
        client_id: 'query',
        redirect_uri: 'https://app.test/cb?tenant=a%20b',
        response_mode: 'form_post',
        scope: 'x',
      }),
    )
    t.equal(query.form().action, 'https://app.test/cb?tenant=a%20b')
    const plain = await known.request(authorizeUrl({ response_mode: 'query' }))
    t.ok(plain.away?.params.has('code'))
  },
)

t.test(
  'a query in the registered redirect URI is kept (RFC 6749 §3.1.2; docs/security.md C33)',
  async (t) => {
    const to = 'https://app.test/cb?tenant=a%20b'
    const page = await known.request(authorizeUrl({ client_id: 'query', redirect_uri: to, scope: 'x' }))
    clientGetsError(t, page, { error: 'invalid_scope', to })
    t.ok(page.location?.startsWith(`${to}&error=`), String(page.location))
  },
)

t.test(
  'redirect_uri may be omitted if one is registered, except in OpenID Connect requests (RFC 6749 §3.1.2.3; docs/security.md C34)',
  async (t) => {
    const page = await known.request(authorizeUrl({ redirect_uri: undefined, scope: 'orders:read' }))
    t.ok(page.location?.startsWith(`${WEB_REDIRECT}?code=`), String(page.location))
    clientGetsError(t, await known.request(authorizeUrl({ redirect_uri: undefined, scope: 'x' })), {
      error: 'invalid_scope',
    })
  },
)

t.test(
  'scopes may have any order, unknown ones are dropped, and an omitted scope means all (RFC 6749 §3.3; docs/security.md C45)',
  async (t) => {
    const granted = async (overrides: Overrides) => {
      const { code } = await signIn(known, overrides)
      return tokensOf(await redeem(server, code))
        .scope?.split(' ')
        .sort()
        .join(' ')
    }
    t.equal(await granted({ scope: 'orders:read openid' }), 'openid orders:read')
    t.equal(await granted({ scope: 'openid orders:read' }), 'openid orders:read')
    t.equal(await granted({ scope: 'openid openid' }), 'openid')
    t.equal(await granted({ scope: 'openid nothing orders:write admin' }), 'openid orders:write')
    const all = 'email offline_access openid orders:read orders:write profile roles'
    t.equal(await granted({ scope: undefined, resource: ORDERS }), all)
  },
)

t.test('resource becomes the audience of the token (RFC 8707 §2)', async (t) => {
  const { code } = await signIn(known, { scope: 'openid orders:read', resource: ORDERS })
  const { access_token } = tokensOf(await redeem(server, code))
  t.equal(JSON.parse(Buffer.from(access_token.split('.')[1] ?? '', 'base64url').toString()).aud, ORDERS)
})

t.test(
  'prompt=none returns a response at once and never shows a page (OpenID Connect Core §3.1.2.1; docs/security.md M137)',
  async (t) => {
    const silent = { prompt: 'none' }
    const stranger: Browser = openBrowser(server)
    clientGetsError(
      t,
      await stranger.request(authorizeUrl(silent)),
      { error: 'login_required' },
      'a signed-out user',
    )
    t.ok((await known.request(authorizeUrl(silent))).away?.params.has('code'), 'signed in with consent')
    const notAllowed = await known.request(authorizeUrl({ ...silent, client_id: 'lax' }))
    clientGetsError(t, notAllowed, { error: 'consent_required' }, 'without consent')
    const form = await stranger.request(authorizeUrl({ ...silent, response_mode: 'form_post' }))
    clientGetsError(t, await stranger.send(form), { error: 'login_required' }, 'by form_post')
    server.clock.tick(100)
    const old = await known.request(authorizeUrl({ ...silent, max_age: '99' }))
    clientGetsError(t, old, { error: 'login_required' }, 'signed in too long ago')
    t.ok(
      (await known.request(authorizeUrl({ ...silent, max_age: '100' }))).away?.params.has('code'),
      'just in time',
    )
  },
)

t.test(
  'a confidential client needs PKCE, or openid with a nonce, unless it is registered for PKCE (OAuth 2.1 §7.5.1; docs/security.md D52)',
  async (t) => {
    for (const client_id of ['web', 'lax']) {
      const { code } = await signIn(openBrowser(server), { client_id, ...NO_PKCE })
      const form = { code_verifier: '' }
      const { id_token } = tokensOf(await redeem(server, code, { as: client_id, form }))
      t.equal(claimsOf(id_token).nonce, 'the-nonce', client_id)
    }
    const description = async (overrides: Overrides) =>
      (await known.request(authorizeUrl({ ...NO_PKCE, ...overrides }))).away?.params.get('error_description')
    const optional = '--pkce optional allows the scope openid with a nonce instead, but'
    const missing = `code_challenge (PKCE with S256) is missing; ${optional}`
    t.equal(await description({ nonce: undefined }), `${missing} nonce is missing`)
    t.equal(
      await description({ nonce: undefined, scope: 'orders:read' }),
      `${missing} the scope openid is missing, and nonce is missing`,
    )
    t.equal(
      await description({ client_id: 'no-openid', scope: 'openid orders:read' }),
      `${missing} the client is not registered for the scope openid`,
    )
    t.match(
      await description({ client_id: 'strict' }),
      /^code_challenge is missing: the client is registered with --pkce required; with --pkce optional,/,
    )
    t.match(await description({ client_id: 'spa' }), /^code_challenge is missing: a public client must/)
    const spa = await known.request(authorizeUrl({ client_id: 'spa', ...NO_PKCE }))
    clientGetsError(t, spa, { error: 'invalid_request', to: SPA_REDIRECT }, 'a public client')
  },
)
