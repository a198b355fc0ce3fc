import { randomBytes } from 'node:crypto'
import { CompactEncrypt, UnsecuredJWT } from 'jose'
import t from 'tap'
import { WRITE_LIMITS } from '../../src/accounts/write-limiter.ts'
import { PUBLIC_LIMITS } from '../../src/oauth/par/pushed-requests.ts'
import type { Client } from '../../src/store/contracts/clients.ts'
import { openBrowser, type Page } from '../support/browser/browser.ts'
import { clientGetsError, userGetsError } from '../support/browser/page-assertions.ts'
import {
  AUTHORIZE,
  authorizeParams,
  authorizeUrl,
  codeClient,
  completePages,
  type Overrides,
  OWN_REDIRECT,
  redeem,
  SPA_REDIRECT,
  seedUsers,
  signIn,
  tokensOf,
  WEB_REDIRECT,
} from '../support/browser/sign-in.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { refused } from '../support/server/error-responses.ts'
import { base64url, clientKey, compact } from '../support/server/jws.ts'
import { basic, claimsOf, type Form, post } from '../support/server/requests.ts'
import { storedSecret } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

const PAR = '/oauth2/par'
const PREFIX = 'urn:ietf:params:oauth:request_uri:'

const server = await testServer()
t.teardown(() => server.close())
const { store, clock } = server
const { alice } = await seedUsers(store)
const key = clientKey('ES256', 'one')
const jwks = { keys: [key.jwk] }
const FIRST_PARTY = { firstParty: true, redirectUris: [OWN_REDIRECT] }
await store.clients.insert(codeClient({ id: 'pushing', ...FIRST_PARTY, requirePushedRequests: true }))
await store.clients.insert(codeClient({ id: 'signing', ...FIRST_PARTY, jwks }))
await store.clients.insert(
  codeClient({ id: 'signed-only', ...FIRST_PARTY, jwks, requireSignedRequests: true }),
)
await store.clients.insert(
  codeClient({ id: 'fapi', ...FIRST_PARTY, jwks, requireSignedRequests: true, requirePushedRequests: true }),
)

/** Signed in, at first-party clients, so that no page is shown. */
const signedInBrowser = openBrowser(server)
await signIn(signedInBrowser, { client_id: 'own' })

const formOf = (overrides: Overrides): Form => {
  const form: Record<string, string[]> = {}
  for (const [name, value] of authorizeParams(overrides)) form[name] = [...(form[name] ?? []), value]
  return form
}
const push = (overrides: Overrides = {}, as = 'own') =>
  post(server, PAR, formOf({ client_id: as, redirect_uri: OWN_REDIRECT, ...overrides }), {
    authorization: basic(as),
  })

async function pushed(overrides: Overrides = {}, as = 'own'): Promise<string> {
  const answer = await push(overrides, as)
  if (answer.statusCode !== 201) throw new Error(`${answer.statusCode} ${answer.body}`)
  return answer.json().request_uri
}
const reference = (request_uri: string, client_id = 'own', more: Record<string, string> = {}) =>
  `${AUTHORIZE}?${new URLSearchParams({ client_id, request_uri, ...more })}`
const codeOf = (page: Page): string => {
  const code = page.away?.params.get('code')
  if (!code) throw new Error(`no code but ${page.status} ${page.path} ${page.away?.url ?? page.body}`)
  return code
}

t.test(
  'a pushed request returns a short-lived request_uri that leads to a code (RFC 9126 §2.2; docs/security.md K120, K123)',
  async (t) => {
    const answer = await push()
    t.equal(answer.statusCode, 201)
    t.equal(answer.headers['cache-control'], 'no-store')
    const { request_uri, expires_in, ...rest } = answer.json()
    t.match(request_uri, /^urn:ietf:params:oauth:request_uri:[\w-]{43}$/)
    t.ok(Number.isInteger(expires_in) && expires_in >= 5 && expires_in < 600, `${expires_in}`)
    t.same(rest, {})
    const page = await signedInBrowser.open(reference(request_uri))
    t.same([page.away?.params.get('state'), page.away?.params.get('iss')], ['the state', ISSUER])
    const tokens = tokensOf(await redeem(server, codeOf(page), { as: 'own' }))
    t.equal(claimsOf(tokens.id_token).nonce, 'the-nonce')
    t.notOk(
      JSON.stringify(await store.db.query('SELECT * FROM pushed_requests')).includes(request_uri.slice(-20)),
    )
  },
)

t.test('request_uri values are random (RFC 6749 §10.10; docs/security.md A12)', async (t) => {
  const all = await Promise.all(Array.from({ length: 100 }, () => pushed()))
  t.equal(new Set(all).size, 100)
})

t.test(
  'the PAR endpoint requires client authentication and POST (RFC 9126 §2.1, RFC 6749 §2.3; docs/security.md K120, B17)',
  async (t) => {
    for (const method of ['GET', 'PUT', 'DELETE'] as const) {
      const answer = await server.inject({ method, url: `${PAR}?${authorizeParams()}` })
      t.same([answer.statusCode, answer.headers.allow], [405, 'POST'], method)
    }
    await writesNothing(
      t,
      server,
      async () => {
        const form = formOf({ client_id: 'own', redirect_uri: OWN_REDIRECT })
        const unknown = { status: 401, error: 'invalid_client' }
        refused(t, await post(server, PAR, form), unknown, 'no authentication')
        refused(
          t,
          await post(server, PAR, form, { authorization: basic('own', 'wrong') }),
          unknown,
          'wrong secret',
        )
        refused(
          t,
          await post(server, PAR, form, { authorization: basic('web') }),
          { error: 'invalid_request' },
          'another client_id',
        )
        refused(
          t,
          await post(server, PAR, formOf({ client_id: 'machine' }), { authorization: basic('machine') }),
          { error: 'unauthorized_client' },
        )
        refused(
          t,
          await post(server, PAR, { ...form, request_uri: `${PREFIX}x` }, { authorization: basic('own') }),
          { error: 'invalid_request' },
          'a request_uri inside a pushed request',
        )
        refused(
          t,
          await post(server, `${PAR}?x=1`, form, { authorization: basic('own') }),
          { error: 'invalid_request' },
          'in the URL',
        )
        // A wrong secret is counted.
      },
      ['rate_limits'],
    )
    const spa = await post(server, PAR, formOf({ client_id: 'spa' }))
    t.equal(spa.statusCode, 201, 'a public client names itself')
  },
)

t.test(
  'what the authorization endpoint would refuse is refused at PAR as JSON (RFC 9126 §2.3; docs/security.md K122)',
  async (t) => {
    const cases: Record<string, [string, Overrides]> = {
      'another redirect URI': ['invalid_request', { redirect_uri: 'https://evil.test/' }],
      'no redirect URI': ['invalid_request', { redirect_uri: undefined }],
      'two redirect URIs': ['invalid_request', { redirect_uri: [OWN_REDIRECT, OWN_REDIRECT] }],
      token: ['unsupported_response_type', { response_type: 'token' }],
      'no response_type': ['invalid_request', { response_type: undefined }],
      'neither PKCE nor a nonce': [
        'invalid_request',
        { code_challenge: undefined, code_challenge_method: undefined, nonce: undefined },
      ],
      plain: ['invalid_request', { code_challenge_method: 'plain' }],
      fragment: ['invalid_request', { response_mode: 'fragment' }],
      'none with login': ['invalid_request', { prompt: 'none login' }],
      'a scope that cannot be granted': ['invalid_scope', { scope: 'admin' }],
      'a resource that is not known': ['invalid_target', { resource: 'https://evil.test' }],
      'claims that are no JSON': ['invalid_request', { claims: 'x' }],
      'a NUL': ['invalid_request', { state: '\0' }],
    }
    await writesNothing(t, server, async () => {
      for (const [label, [error, overrides]] of Object.entries(cases))
        refused(t, await push(overrides), { error }, label)
    })
    t.equal(
      (await push({ extra: 'foobar', display: 'page' })).statusCode,
      201,
      'unknown parameters are ignored',
    )
  },
)

t.test(
  'a request_uri can be used once, within 90 s, by the client that pushed it (RFC 9126 §4; docs/security.md K121)',
  async (t) => {
    const bad = { error: 'invalid_request_uri', state: null, to: OWN_REDIRECT }
    const beside = { redirect_uri: OWN_REDIRECT }
    const uri = await pushed()
    userGetsError(t, await signedInBrowser.open(reference(uri, 'web')), 'another client')
    clientGetsError(
      t,
      await signedInBrowser.open(reference(uri, 'signing', beside)),
      bad,
      'another first-party client',
    )
    codeOf(await signedInBrowser.open(reference(uri)))
    userGetsError(t, await signedInBrowser.open(reference(uri)), 'once more')
    clientGetsError(
      t,
      await signedInBrowser.open(reference(uri, 'own', beside)),
      bad,
      'again, with a redirect URI for the response',
    )
    const late = await pushed()
    clock.tick(89)
    t.equal((await openBrowser(server).open(reference(late))).path, '/login')
    clock.tick(1)
    userGetsError(t, await openBrowser(server).open(reference(late)), '90 s later')
    for (const other of [PREFIX, `${PREFIX}x`, late.toUpperCase(), `${late} `, `${late}#x`]) {
      userGetsError(t, await signedInBrowser.open(reference(other)), other)
    }
    userGetsError(
      t,
      await signedInBrowser.open(`${AUTHORIZE}?${new URLSearchParams({ request_uri: await pushed() })}`),
      'no client_id',
    )
  },
)

t.test(
  'a request_uri is consumed by the response, so reloads, tabs and waiting on the page work (RFC 9126 §2.2, §4; docs/security.md K121)',
  async (t) => {
    const browser = openBrowser(server)
    const uri = await pushed()
    const first = await browser.open(reference(uri))
    const second = await browser.open(reference(uri))
    t.same([first.path, second.path], ['/login', '/login'])
    clock.tick(300)
    t.equal((await browser.open(first.url)).path, '/login', 'reloaded')
    await server.poll()
    codeOf(await completePages(browser, first))
    userGetsError(t, await completePages(browser, second), 'the other tab is too late')
    userGetsError(t, await browser.open(first.url), 'and so is going back')
  },
)

t.test(
  'HEAD, as sent by link checkers, does not consume a request_uri (RFC 9110 §9.2.1; docs/security.md K121)',
  async (t) => {
    const uri = await pushed()
    const cookie = [...signedInBrowser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')
    t.match(cookie, 'keyturn-session', 'by a user who would get a code by GET')
    const { statusCode, headers } = await server.inject({
      method: 'HEAD',
      url: reference(uri),
      headers: { cookie },
    })
    t.same([statusCode, headers.allow, headers.location], [405, 'GET, POST', undefined])
    codeOf(await signedInBrowser.open(reference(uri)))
  },
)

t.test(
  'of 50 concurrent uses of a request_uri one gets a code (RFC 9126 §2.2, RFC 7523 §3; docs/security.md K121, P6)',
  async (t) => {
    const uri = await pushed()
    const pages = await Promise.all(Array.from({ length: 50 }, () => signedInBrowser.open(reference(uri))))
    t.equal(pages.filter(({ away }) => away?.params.has('code')).length, 1)
  },
)

t.test('an error response consumes the request_uri too', async (t) => {
  for (const overrides of [{ prompt: 'none' }, { prompt: 'none', response_mode: 'form_post' }]) {
    const browser = openBrowser(server)
    const uri = await pushed(overrides)
    const page = await browser.open(reference(uri))
    clientGetsError(t, page.away ? page : await browser.send(page), {
      error: 'login_required',
      to: OWN_REDIRECT,
    })
    userGetsError(t, await signedInBrowser.open(reference(uri)))
  }
})

t.test(
  'only pushed parameters count, and parameters beside the request_uri are ignored (RFC 9101 §6.3, RFC 6749 §3.1; docs/security.md K124, P21)',
  async (t) => {
    const uri = await pushed({ state: undefined, nonce: 'pushed', scope: 'openid' })
    const page = await signedInBrowser.open(
      reference(uri, 'own', {
        redirect_uri: 'https://evil.test/',
        state: 'outside',
        nonce: 'outside',
        scope: 'openid orders:write',
        response_type: 'token',
        response_mode: 'form_post',
        code_challenge: 'x',
        prompt: 'login',
      }),
    )
    t.ok(page.away?.url.startsWith(`${OWN_REDIRECT}?code=`))
    t.equal(page.away?.params.has('state'), false)
    const tokens = tokensOf(await redeem(server, codeOf(page), { as: 'own' }))
    t.same([tokens.scope, claimsOf(tokens.id_token).nonce], ['openid', 'pushed'])
  },
)

t.test(
  'pushed parameters are not visible in the browser before the response (RFC 9126 §7; docs/security.md K127, P27)',
  async (t) => {
    const secrets = {
      state: 'state-secret',
      nonce: 'nonce-secret',
      scope: 'openid email orders:read',
      login_hint: '',
    }
    const browser = openBrowser(server)
    let page = await browser.request(
      reference(await pushed({ ...secrets, claims: '{"userinfo":{"name":null}}' })),
    )
    const seen: string[] = []
    for (
      ;
      !page.away;
      page = page.location
        ? await browser.request(page.location)
        : await browser.send(
            page,
            page.path === '/login'
              ? { form: '/login', fill: { username: 'alice', password: 'correct horse battery staple' } }
              : { press: 'allow' },
          )
    ) {
      seen.push(page.url, page.body, JSON.stringify(page.headers), JSON.stringify([...browser.jar.values()]))
    }
    t.ok(seen.length > 8)
    for (const text of ['state-secret', 'nonce-secret', 'orders:read', 'code_challenge', OWN_REDIRECT]) {
      for (const where of seen)
        t.notOk(where.includes(text) || where.includes(encodeURIComponent(text)), text)
      for (const where of seen) t.notOk(where.includes(base64url(text)), `${text}, encoded`)
    }
    t.equal(page.away.params.get('state'), 'state-secret')
  },
)

t.test(
  'a client that must push requests is refused by GET, POST and signed request (FAPI 2.0 §5.3.2.2; docs/security.md K123)',
  async (t) => {
    const overrides = { client_id: 'pushing', redirect_uri: OWN_REDIRECT }
    const expected = { error: 'invalid_request', to: OWN_REDIRECT }
    clientGetsError(t, await signedInBrowser.open(authorizeUrl(overrides)), expected)
    clientGetsError(
      t,
      await signedInBrowser.open(AUTHORIZE, { method: 'POST', body: String(authorizeParams(overrides)) }),
      expected,
    )
    codeOf(await signedInBrowser.open(reference(await pushed({}, 'pushing'), 'pushing')))
    const signed = { ...overrides, client_id: 'fapi', request: object({}, 'fapi') }
    clientGetsError(t, await signedInBrowser.open(authorizeUrl(signed)), expected)
  },
)

t.test('an unauthenticated user completes a pushed request', async (t) => {
  const browser = openBrowser(server)
  const done = await completePages(browser, await browser.open(reference(await pushed())))
  t.equal(claimsOf(tokensOf(await redeem(server, codeOf(done), { as: 'own' })).id_token).sub, alice.id)
})

/** A signed request (RFC 9101 §4); undefined removes a claim. */
function object(
  claims: Record<string, unknown> = {},
  as = 'signing',
  header: Record<string, unknown> = {},
): string {
  const now = clock.now()
  const params = Object.fromEntries(
    authorizeParams({ client_id: as, redirect_uri: OWN_REDIRECT, state: 'signed' }),
  )
  const payload = { iss: as, aud: ISSUER, iat: now, nbf: now, exp: now + 60, ...params, ...claims }
  return compact(
    { alg: key.alg, kid: key.kid, typ: 'oauth-authz-req+jwt', ...header },
    payload,
    key.privateKey,
    key.alg,
  )
}

t.test(
  'a signed request is accepted by value and pushed, and only its parameters count (RFC 9101 §6.3; docs/security.md K124, K126)',
  async (t) => {
    const outside = {
      client_id: 'signing',
      scope: 'openid orders:write',
      state: 'outside',
      nonce: 'outside',
      redirect_uri: OWN_REDIRECT,
    }
    for (const [label, url] of Object.entries({
      'by value': `${AUTHORIZE}?${new URLSearchParams({ client_id: 'signing', request: object() })}`,
      'by value, with other parameters beside it': authorizeUrl({ ...outside, request: object() }),
      pushed: reference(await pushed({ ...outside, request: object() }, 'signing'), 'signing'),
      'pushed, must be signed': reference(
        await pushed({ request: object({}, 'signed-only') }, 'signed-only'),
        'signed-only',
      ),
      'pushed and signed, must be both': reference(
        await pushed({ request: object({}, 'fapi') }, 'fapi'),
        'fapi',
      ),
    })) {
      const page = await signedInBrowser.open(url)
      t.equal(page.away?.params.get('state'), 'signed', label)
      const as = new URL(url, ISSUER).searchParams.get('client_id') ?? ''
      const tokens = tokensOf(
        await redeem(server, codeOf(page), { as, form: { redirect_uri: OWN_REDIRECT } }),
      )
      t.same([tokens.scope, claimsOf(tokens.id_token).nonce], ['openid orders:read', 'the-nonce'], label)
    }
    const byPost = await signedInBrowser.open(AUTHORIZE, {
      method: 'POST',
      body: String(new URLSearchParams({ client_id: 'signing', request: object() })),
    })
    codeOf(byPost)
    const stranger = openBrowser(server)
    const url = `${AUTHORIZE}?${new URLSearchParams({ client_id: 'signing', request: object() })}`
    const login = await stranger.open(url)
    clock.tick(300)
    t.equal(
      (await completePages(stranger, login)).away?.params.get('state'),
      'signed',
      'it may expire while the user signs in',
    )
  },
)

t.test('a client that must sign requests is refused without a signature (RFC 9101 §10.5)', async (t) => {
  const overrides = { client_id: 'signed-only', redirect_uri: OWN_REDIRECT }
  clientGetsError(t, await signedInBrowser.open(authorizeUrl(overrides)), {
    error: 'invalid_request',
    to: OWN_REDIRECT,
  })
  refused(t, await push({}, 'signed-only'), { error: 'invalid_request' })
})

t.test(
  'an invalid signed request is refused by value and pushed (docs/security.md K126, P36, B25)',
  async (t) => {
    const other = clientKey('ES256', 'one')
    const now = clock.now()
    const good = JSON.parse(Buffer.from(object().split('.')[1] ?? '', 'base64url').toString())
    const { access_token, id_token } = tokensOf(
      await redeem(server, (await signIn(signedInBrowser, { client_id: 'own' })).code, { as: 'own' }),
    )
    const encrypted = await new CompactEncrypt(Buffer.from(JSON.stringify(good)))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .encrypt(Buffer.alloc(32))
    const cases: Record<string, string> = {
      'no JWT': 'x',
      'of another key': compact({ alg: 'ES256', kid: 'one' }, good, other.privateKey),
      unsigned: new UnsecuredJWT(good).encode(),
      'signed with a public key as a secret': compact(
        { alg: 'HS256', kid: 'one' },
        good,
        JSON.stringify(key.jwk),
      ),
      'encrypted and not signed': encrypted,
      changed: object().replace(
        /\.[^.]*\./,
        `.${base64url(JSON.stringify({ ...good, scope: 'openid orders:write' }))}.`,
      ),
      expired: object({ exp: now - 61 }),
      'of the future': object({ nbf: now + 61 }),
      'for another server': object({ aud: 'https://evil.test' }),
      'without an audience': object({ aud: undefined }),
      'of another client': object({ iss: 'web' }),
      'with another client_id': object({ client_id: 'web' }),
      'with a request in it': object({ request: object() }),
      'with a reference in it': object({ request_uri: `${PREFIX}x` }),
      'that could be an assertion': object({ sub: 'signing' }),
      'of another type': object({}, 'signing', { typ: 'at+jwt' }),
      'with something critical': object({}, 'signing', { crit: ['x'], x: 1 }),
      'an ID token': id_token,
      'an access token': access_token,
    }
    for (const [label, request] of Object.entries(cases)) {
      const overrides = { client_id: 'signing', redirect_uri: OWN_REDIRECT, request }
      const page = await signedInBrowser.open(authorizeUrl(overrides))
      clientGetsError(t, page, { error: 'invalid_request_object', to: OWN_REDIRECT }, label)
      refused(t, await push(overrides, 'signing'), { error: 'invalid_request_object' }, label)
      const alone = `${AUTHORIZE}?${new URLSearchParams({ client_id: 'signing', request })}`
      userGetsError(t, await signedInBrowser.open(alone), `${label}, and no trustworthy redirect URI`)
    }
    // Correctly signed, with an error inside: it is handled like an unsigned request with that error.
    for (const [claims, error] of [
      [{ response_type: 'token' }, 'unsupported_response_type'],
      [{ code_challenge_method: 'plain' }, 'invalid_request'],
      [{ scope: 'admin' }, 'invalid_scope'],
    ] as const) {
      const page = await signedInBrowser.open(
        `${AUTHORIZE}?${new URLSearchParams({ client_id: 'signing', request: object(claims) })}`,
      )
      clientGetsError(t, page, { error, state: 'signed', to: OWN_REDIRECT }, 'C35')
      refused(t, await push({ request: object(claims) }, 'signing'), { error })
    }
    const evil = object({ redirect_uri: 'https://evil.test/' })
    userGetsError(
      t,
      await signedInBrowser.open(
        authorizeUrl({ client_id: 'signing', redirect_uri: OWN_REDIRECT, request: evil }),
      ),
      'a foreign redirect URI inside',
    )
  },
)

t.test(
  'requests pushed for a public client are rate limited, so that strangers cannot fill the store (RFC 9126 §2.3; docs/security.md Q20)',
  async (t) => {
    const server = await testServer()
    t.teardown(() => server.close())
    const { clock, store } = server
    await seedUsers(store)
    const push = (state: string, remoteAddress: string) =>
      server.inject({
        method: 'POST',
        url: '/oauth2/par',
        remoteAddress,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        payload: authorizeParams({ client_id: 'spa', state }).toString(),
      })
    const answers = []
    for (let i = 0; i < PUBLIC_LIMITS.burst + 5; i += 1) answers.push(await push('s', '198.51.100.1'))
    const refused = answers.filter(({ statusCode }) => statusCode === 429)
    t.equal(answers.filter(({ statusCode }) => statusCode === 201).length, PUBLIC_LIMITS.burst)
    t.equal(refused.length, 5)
    t.match(refused[0]?.json(), { error: 'temporarily_unavailable' })
    t.ok(Number(refused[0]?.headers['retry-after']) >= 1)
    t.equal((await push('s', '203.0.113.9')).statusCode, 201, 'others are not affected')
    clock.tick(1)
    t.equal((await push('s', '198.51.100.1')).statusCode, 201, 'and neither is this client for long')
    const tooLarge = [413, 'invalid_request']
    const large = await push('x'.repeat(PUBLIC_LIMITS.bytes), '203.0.113.9')
    t.same([large.statusCode, large.json().error], tooLarge)
    const incompressible = await push(randomBytes(5000).toString('base64url'), '203.0.113.9')
    t.same([incompressible.statusCode, incompressible.json().error], tooLarge, 'no URL can carry it')
  },
)

t.test(
  'a request pushed for a public client is not stored, cannot be read, and leads to one code (RFC 9126 §4; docs/security.md Q22, K121)',
  async (t) => {
    const parameters = { client_id: 'spa', redirect_uri: SPA_REDIRECT, state: 'secret-state' }
    const pushPublic = async () => {
      const answer = await post(server, PAR, formOf(parameters))
      t.equal(answer.statusCode, 201)
      return answer.json().request_uri as string
    }
    let uri = ''
    await writesNothing(
      t,
      server,
      async () => {
        for (let i = 0; i < 20; i += 1) uri = await pushPublic()
      },
      ['rate_limits'],
    )
    t.ok(uri.startsWith(PREFIX) && uri.length < 2000, `${uri.length} characters`)
    t.notMatch(Buffer.from(uri.slice(PREFIX.length + 2), 'base64url').toString(), 'secret-state')
    const browser = openBrowser(server)
    await signIn(browser, { client_id: 'own' })
    const pages = [
      await browser.open(reference(uri, 'spa')),
      await browser.open(reference(uri, 'spa')),
    ] as const
    t.equal((await completePages(browser, pages[0])).away?.params.get('state'), 'secret-state')
    userGetsError(t, await completePages(browser, pages[1]), 'the other tab is too late')
    userGetsError(t, await browser.open(reference(uri, 'spa')), 'once more')
    userGetsError(t, await browser.open(reference(await pushPublic(), 'native')), 'another client')
    const end = uri.at(-5) === 'A' ? 'B' : 'A'
    userGetsError(t, await browser.open(reference(uri.slice(0, -5) + end + uri.slice(-4), 'spa')), 'changed')
    const late = await pushPublic()
    clock.tick(90)
    userGetsError(t, await browser.open(reference(late, 'spa')), '90 s later')
  },
)

t.test(
  'a confidential client can push a limited number of kilobytes, and others are not affected (RFC 9126 §2.3; docs/security.md Q22)',
  async (t) => {
    const limited = await testServer({
      writeLimits: { ...WRITE_LIMITS, pushedKilobyte: { burst: 10, interval: 1 } },
    })
    t.teardown(() => limited.close())
    await seedUsers(limited.store)
    const pushAs = (as: string, redirect_uri: string) =>
      post(limited, PAR, formOf({ client_id: as, redirect_uri, state: 'x'.repeat(4500) }), {
        authorization: basic(as),
      })
    t.equal((await pushAs('own', OWN_REDIRECT)).statusCode, 201)
    t.equal((await pushAs('own', OWN_REDIRECT)).statusCode, 201)
    const refusedPush = await pushAs('own', OWN_REDIRECT)
    t.same([refusedPush.statusCode, refusedPush.json().error], [429, 'temporarily_unavailable'])
    t.equal((await pushAs('web', WEB_REDIRECT)).statusCode, 201)
    limited.clock.tick(5)
    t.equal((await pushAs('own', OWN_REDIRECT)).statusCode, 201)
  },
)

// A pushed request of a confidential client is a row, and one of a public client is encrypted into its `request_uri`. The same
// rule holds for both: a change of the client ends it.
const KINDS = { confidential: {}, public: { authMethod: 'none' } } as const

const CHANGES: Readonly<Record<string, readonly ((client: Client) => Client)[]>> = {
  'its redirect URI was replaced': [(client) => ({ ...client, redirectUris: ['https://new.test/'] })],
  'its scopes were taken': [(client) => ({ ...client, scopes: ['openid'] })],
  'it was disabled and enabled': [
    (client) => ({ ...client, disabled: true }),
    (client) => ({ ...client, disabled: false }),
  ],
  'its redirect URI was removed and added again': [
    (client) => ({ ...client, redirectUris: [] }),
    (client) => ({ ...client, redirectUris: [OWN_REDIRECT] }),
  ],
  'its secret was replaced, or it was given one': [
    (client) => ({ ...client, authMethod: 'client_secret_basic', secrets: [storedSecret('sha256:new')] }),
  ],
  'it must sign its requests': [(client) => ({ ...client, jwks, requireSignedRequests: true })],
}

for (const [kind, properties] of Object.entries(KINDS)) {
  const settled = { firstParty: true, redirectUris: [OWN_REDIRECT], ...properties }
  const begin = async (id: string) => {
    await store.clients.insert(codeClient({ id, ...settled }))
    const headers = kind === 'public' ? {} : { authorization: basic(id) }
    const { json } = await post(server, PAR, formOf({ client_id: id, redirect_uri: OWN_REDIRECT }), headers)
    return reference(json().request_uri, id)
  }

  t.test(
    `a request_uri of a ${kind} client is refused after the client was changed (RFC 9126 §2.2; docs/security.md K128)`,
    async (t) => {
      for (const [label, steps] of Object.entries(CHANGES)) {
        const id = `${kind}-${Object.keys(CHANGES).indexOf(label)}`
        const url = await begin(id)
        for (const step of steps) {
          await store.clients.update(id, step)
          await server.poll()
        }
        userGetsError(t, await signedInBrowser.open(url), label)
      }
      const others = await begin(`${kind}-others`)
      await store.clients.update('lax', (client) => ({ ...client, name: 'Another name' }))
      await server.poll()
      codeOf(await signedInBrowser.open(others))
    },
  )

  t.test(`a request_uri of a ${kind} client stays valid while secrets are only added`, async (t) => {
    const id = `${kind}-rotating`
    const url = await begin(id)
    const { secrets, revision } = (await store.clients.find(id)) ?? { secrets: [], revision: 0 }
    const added = (hash: string, addedIn: number) => storedSecret(hash, { addedIn })
    await store.clients.update(id, (one) => ({ ...one, secrets: [...secrets, added('1', revision + 1)] }))
    await server.poll()
    codeOf(await signedInBrowser.open(url))
    const ended = await begin(id)
    await store.clients.update(id, (one) => ({ ...one, secrets }))
    await server.poll()
    userGetsError(t, await signedInBrowser.open(ended), 'one was ended')
  })

  t.test(
    `a request_uri of a ${kind} client is refused for another client that has its id now (RFC 9126 §2.2; docs/security.md K128)`,
    async (t) => {
      const url = await begin(`${kind}-again`)
      await store.clients.delete(`${kind}-again`)
      await store.clients.insert(codeClient({ id: `${kind}-again`, ...settled }))
      await server.poll()
      userGetsError(t, await signedInBrowser.open(url), 'created again with the same properties')
    },
  )

  t.test(
    `what a ${kind} client pushes just after it was changed is accepted by a node that has not read the change`,
    async (t) => {
      const id = `${kind}-late`
      await store.clients.insert(codeClient({ id, ...settled }))
      await server.deps.registry.client(id)
      const { revision } = (await store.clients.find(id)) ?? { revision: 0 }
      const { client } = server.deps.registry
      const old = await client(id)
      await store.clients.update(id, (current) => ({ ...current, name: 'Another name' }))
      await server.poll()
      const headers = kind === 'public' ? {} : { authorization: basic(id) }
      const { json } = await post(server, PAR, formOf({ client_id: id, redirect_uri: OWN_REDIRECT }), headers)
      let stale = 1
      Object.assign(server.deps.registry, {
        client: async (...args: Parameters<typeof client>) =>
          args[1]?.fresh || stale-- <= 0 ? client(...args) : old,
      })
      t.teardown(() => Object.assign(server.deps.registry, { client }))
      t.equal(old?.revision, revision)
      codeOf(await signedInBrowser.open(reference(json().request_uri, id)))
    },
  )
}
