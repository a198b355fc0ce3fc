/** The modules of the basic and form post plans that vary the authorization request (docs/internals/conformance.md). */
import { UnsecuredJWT } from 'jose'
import t from 'tap'
import {
  authorizeParams,
  CHALLENGE,
  codeClient,
  seedUsers,
  WEB_REDIRECT,
} from '../support/browser/sign-in.ts'
import { inBothModes, openidSuite, PLAIN } from '../support/issuers/conformance-suite.ts'
import { clientKey, compact } from '../support/server/jws.ts'
import { SECRET } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
const { alice } = await seedUsers(server.store)
await server.store.users.update(alice.id, (one) => ({
  ...one,
  name: 'Alice',
  email: 'alice@example.test',
  emailVerified: true,
  updatedAt: 1,
}))
const key = clientKey('RS256')
await server.store.clients.insert(
  codeClient({ id: 'keyed', pkce: 'optional', firstParty: true, jwks: { keys: [key.jwk] } }),
)
await server.store.clients.insert(
  codeClient({ id: 'posting', pkce: 'optional', authMethod: 'client_secret_post' }),
)
await server.poll()
const suite = openidSuite(server)

t.test(
  'oidcc-server: the code flow returns valid tokens and an ID token (OpenID Connect Core §3.1; docs/security.md M136)',
  inBothModes(async (t, response_mode) => {
    const { claims, tokens } = await suite.signIn(t, suite.browser(), { response_mode })
    t.equal(claims.sub, alice.id)
    t.notMatch(claims.sub, /alice/i, 'sub reveals nothing')
    t.same([claims.acr, claims.amr], ['urn:keyturn:acr:password', ['pwd']])
    t.same((await suite.userinfo(tokens.access_token)).json(), { sub: alice.id })
  }),
)

t.test(
  'oidcc-response-type-missing: the client gets an error response (OpenID Connect Core §3.1.2.6)',
  inBothModes(async (t, response_mode) => {
    const answer = await suite.answer(suite.browser(), { response_mode, response_type: undefined })
    suite.refused(t, answer, 'invalid_request')
    const hybrid = await suite.answer(suite.browser(), { response_mode, response_type: 'code id_token' })
    suite.refused(t, hybrid, 'unsupported_response_type')
  }),
)

t.test(
  'oidcc-ensure-request-without-nonce-succeeds-for-code-flow (OpenID Connect Core §3.1.2.1; docs/security.md M139)',
  inBothModes(async (t, response_mode) => {
    const leftOut = { response_mode, nonce: undefined }
    const pkce = { code_challenge: CHALLENGE, code_challenge_method: 'S256' }
    const { claims } = await suite.signIn(t, suite.browser(), { ...leftOut, ...pkce })
    t.notOk('nonce' in claims)
    // RFC 9700 §2.1.1: either PKCE or a nonce protects the client.
    suite.refused(t, await suite.answer(suite.browser(), leftOut), 'invalid_request')
  }),
)

const scopes: Record<string, readonly string[]> = {
  profile: ['sub', 'name', 'preferred_username', 'updated_at'],
  email: ['sub', 'email', 'email_verified'],
  address: ['sub'],
  phone: ['sub'],
  'profile email address phone': [
    'sub',
    'name',
    'preferred_username',
    'updated_at',
    'email',
    'email_verified',
  ],
}
t.test(
  'oidcc-scope-profile, -email, -address, -phone, -all: userinfo returns the claims of the scopes (OpenID Connect Core §5.4)',
  inBothModes(async (t, response_mode) => {
    for (const [scope, expected] of Object.entries(scopes)) {
      const { claims, tokens } = await suite.signIn(t, suite.browser(), {
        response_mode,
        scope: `openid ${scope}`,
      })
      const info = (await suite.userinfo(tokens.access_token)).json()
      t.same(Object.keys(info).sort(), [...expected].sort(), scope)
      t.same(
        Object.keys(claims)
          .filter((name) => expected.includes(name))
          .sort(),
        [...expected].sort(),
        'in the ID token too, because many libraries never call userinfo',
      )
    }
  }),
)

t.test(
  'oidcc-alternate-happy-flow: the order of scopes and parameters is irrelevant (OpenID Connect Core §3.1.2.1)',
  inBothModes(async (t, response_mode) => {
    const overrides = { response_mode, scope: 'email orders:read openid profile' }
    const backwards = [...authorizeParams({ ...PLAIN, ...overrides })].reverse()
    const url = `/oauth2/authorize?${new URLSearchParams(backwards)}`
    const { tokens } = await suite.signIn(t, suite.browser(), overrides, { url })
    t.same(String(tokens.scope).split(' ').sort(), ['email', 'openid', 'orders:read', 'profile'])
  }),
)

const hints: Record<string, Record<string, string>> = {
  'oidcc-display-page': { display: 'page' },
  'oidcc-display-popup': { display: 'popup' },
  'oidcc-ensure-request-with-unknown-parameter-succeeds': { extra: 'foobar' },
  'oidcc-login-hint': { login_hint: 'nobody@example.test' },
  'oidcc-ui-locales': { ui_locales: 'se-SE de-x-strange tlh' },
  'oidcc-claims-locales': { claims_locales: 'se' },
  'oidcc-ensure-request-with-acr-values-succeeds': { acr_values: '1 2' },
}
t.test(
  'oidcc-display-page, -popup, -login-hint, -ui-locales, -claims-locales, -acr-values, -unknown-parameter: the request succeeds (OpenID Connect Core §15.1; docs/security.md M139)',
  inBothModes(async (t, response_mode) => {
    for (const [module, parameter] of Object.entries(hints)) {
      const { claims } = await suite.signIn(t, suite.browser(), { response_mode, ...parameter })
      t.equal(claims.sub, alice.id, module)
    }
  }),
)

t.test(
  'login_hint prefills the form, and ui_locales selects the language (OpenID Connect Core §3.1.2.1; docs/security.md M139)',
  async (t) => {
    const query = authorizeParams({ login_hint: 'al<ice>"', ui_locales: 'xx de' })
    const page = await suite.browser().open(`/oauth2/authorize?${query}`)
    t.equal(page.form('/login').fields.get('username'), 'al<ice>"')
    t.match(page.body, '<html lang="de">')
  },
)

t.test(
  'oidcc-ensure-registered-redirect-uri: an unregistered URI shows an error page without redirect (RFC 9700 §2.1, §4.1.3; docs/security.md C30)',
  inBothModes(async (t, response_mode) => {
    const redirect_uri = `${WEB_REDIRECT}/suffix`
    const query = authorizeParams({ ...PLAIN, response_mode, redirect_uri })
    const page = await suite.browser().open(`/oauth2/authorize?${query}`)
    t.same([page.status, page.away, page.forms], [400, null, []])
    t.notMatch(page.body, redirect_uri)
  }),
)

t.test(
  'oidcc-ensure-post-request-succeeds: the authorization endpoint accepts POST (OpenID Connect Core §3.1.2.1; docs/security.md C28)',
  inBothModes(async (t, response_mode) => {
    const at = suite.browser()
    const body = authorizeParams({ ...PLAIN, response_mode, client_id: 'keyed' }).toString()
    const page = await at.open('/oauth2/authorize', { method: 'POST', body, from: 'cross-site' })
    t.equal(page.path, '/login')
    const overrides = { response_mode, client_id: 'keyed' }
    await suite.signIn(t, at, overrides, { url: page.url })
  }),
)

t.test(
  'oidcc-server-client-secret-post (OpenID Connect Core §9; docs/security.md B15)',
  inBothModes(async (t, response_mode) => {
    const answer = await suite.answer(suite.browser(), { response_mode, client_id: 'posting' })
    const tokens = await server.inject({
      method: 'POST',
      url: '/oauth2/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({
        grant_type: 'authorization_code',
        code: answer?.params.get('code') ?? '',
        redirect_uri: WEB_REDIRECT,
        client_id: 'posting',
        client_secret: SECRET,
      }).toString(),
    })
    t.equal(tokens.statusCode, 200, tokens.body)
  }),
)

t.test(
  'oidcc-request-uri-unsigned, oidcc-unsigned-request-object: unsigned requests are refused, not ignored (OpenID Connect Core §6.1, §6.2; docs/security.md K125)',
  inBothModes(async (t, response_mode) => {
    const unsigned = new UnsecuredJWT({ nonce: 'inside', iss: 'lax', aud: ISSUER }).encode()
    const by = (more: Record<string, string>) => suite.answer(suite.browser(), { response_mode, ...more })
    suite.refused(t, await by({ request: unsigned }), 'request_not_supported')
    const request_uri = 'https://client.example/request.jwt'
    suite.refused(t, await by({ request_uri }), 'request_uri_not_supported')
    const keyed = await by({ client_id: 'keyed', request: unsigned })
    suite.refused(t, keyed, 'invalid_request_object')
  }),
)

t.test(
  'oidcc-ensure-request-object-with-redirect-uri: the redirect URI inside the request object is used (RFC 9101 §6.3; docs/security.md K124)',
  inBothModes(async (t, response_mode) => {
    const inside = { ...Object.fromEntries(authorizeParams({ ...PLAIN, response_mode, client_id: 'keyed' })) }
    const now = server.clock.now()
    const signed = (redirect_uri: string) =>
      compact(
        { alg: 'RS256', kid: key.kid, typ: 'oauth-authz-req+jwt' },
        { ...inside, redirect_uri, iss: 'keyed', aud: ISSUER, exp: now + 60 },
        key.privateKey,
      )
    const open = (at: string, within: string) =>
      suite.browser().open(
        `/oauth2/authorize?${authorizeParams({
          ...PLAIN,
          client_id: 'keyed',
          redirect_uri: at,
          request: signed(within),
        })}`,
      )
    const wrongOutside = await open('https://evil.test/cb', WEB_REDIRECT)
    t.equal(wrongOutside.path, '/login', 'parameters outside it are ignored')
    const wrongInside = await open(WEB_REDIRECT, 'https://evil.test/cb')
    t.same([wrongInside.status, wrongInside.away], [400, null])
  }),
)

t.test(
  'oidcc-ensure-request-with-valid-pkce-succeeds (RFC 7636; docs/security.md D50)',
  inBothModes(async (t, response_mode) => {
    const pkce = { code_challenge: CHALLENGE, code_challenge_method: 'S256' }
    for (const client_id of ['lax', 'web']) {
      await suite.signIn(t, suite.browser(), { response_mode, client_id, ...pkce })
    }
  }),
)
