/** The modules of the basic and form post plans about user sessions and later tokens (docs/internals/conformance.md). */
import t from 'tap'
import { authorizeParams, CHALLENGE, redeem, seedUsers } from '../support/browser/sign-in.ts'
import { inBothModes, openidSuite, PLAIN } from '../support/issuers/conformance-suite.ts'
import { clientKey, compact } from '../support/server/jws.ts'
import { claimsOf, post, refresh } from '../support/server/requests.ts'
import { testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
const { alice } = await seedUsers(server.store)
const PROFILE = { name: 'Alice', email: 'alice@example.test', emailVerified: true }
await server.store.users.update(alice.id, (one) => ({ ...one, ...PROFILE, updatedAt: 1 }))
await server.poll()
const suite = openidSuite(server)
/** What the server knows about a returning user. */
const REMEMBER = { remember: true }
const opened = (overrides: Record<string, string | undefined>) =>
  `/oauth2/authorize?${authorizeParams({ ...PLAIN, ...overrides })}`

t.test(
  'oidcc-idtoken-signature: ID tokens are signed with RS256 by a key of the JWKS; -unsigned: none is not offered',
  async (t) => {
    const { tokens } = await suite.signIn(t, suite.browser(), {})
    const header = JSON.parse(Buffer.from(tokens.id_token.split('.')[0] ?? '', 'base64url').toString())
    t.match(header, { alg: 'RS256', typ: 'JWT' })
    const metadata = (await server.inject({ url: '/.well-known/openid-configuration' })).json()
    t.same(metadata.id_token_signing_alg_values_supported, ['RS256'])
  },
)

t.test(
  'oidcc-userinfo-get, -post-header, -post-body: userinfo accepts the access token of a sign-in (OpenID Connect Core §5.3; docs/security.md M141)',
  inBothModes(async (t, response_mode) => {
    const { tokens, claims } = await suite.signIn(t, suite.browser(), {
      response_mode,
      scope: 'openid profile',
    })
    const authorization = `Bearer ${tokens.access_token}`
    for (const [way, answer] of Object.entries({
      get: await suite.userinfo(tokens.access_token),
      header: await server.inject({
        method: 'POST',
        url: '/oauth2/userinfo',
        headers: { authorization },
      }),
      body: await post(server, '/oauth2/userinfo', { access_token: tokens.access_token }),
    })) {
      t.equal(answer.statusCode, 200, way)
      t.match(answer.json(), { sub: claims.sub, name: 'Alice' }, way)
    }
  }),
)

t.test(
  'oidcc-prompt-login: a signed-in user must log in again, and auth_time increases (OpenID Connect Core §3.1.2.1; docs/security.md M137)',
  inBothModes(async (t, response_mode) => {
    const at = suite.browser()
    const first = await suite.signIn(t, at, { response_mode }, REMEMBER)
    server.clock.tick(2)
    const page = await at.open(opened({ response_mode, prompt: 'login' }))
    t.equal(page.path, '/login', 'the password is asked for')
    const second = await suite.signIn(t, at, { response_mode, prompt: 'login' })
    t.equal(second.claims.sub, first.claims.sub)
    t.equal(second.claims.auth_time, Number(first.claims.auth_time) + 2)
  }),
)

t.test(
  'oidcc-prompt-none-not-logged-in, oidcc-prompt-none-logged-in: no page is shown in either case (OpenID Connect Core §3.1.2.1; docs/security.md M137)',
  inBothModes(async (t, response_mode) => {
    const at = suite.browser()
    const silent = { response_mode, prompt: 'none' }
    suite.refused(t, await suite.answer(at, silent, { url: opened(silent) }), 'login_required')
    const first = await suite.signIn(t, at, { response_mode }, REMEMBER)
    server.clock.tick(2)
    const page = await at.open(opened(silent))
    t.equal(page.path, '/oauth2/authorize', 'no page in between')
    const second = await suite.signIn(t, at, silent)
    t.same([second.claims.sub, second.claims.auth_time], [first.claims.sub, first.claims.auth_time])
  }),
)

t.test(
  'prompt=none for scopes without consent returns consent_required (OpenID Connect Core §3.1.2.1; docs/security.md M137)',
  async (t) => {
    const at = suite.browser()
    await suite.signIn(t, at, {}, { remember: true })
    const more = { prompt: 'none', scope: 'openid profile email orders:write' }
    suite.refused(t, await suite.answer(at, more), 'consent_required')
    suite.refused(t, await suite.answer(at, { prompt: 'none login' }), 'invalid_request')
  },
)

t.test(
  'oidcc-max-age-1, oidcc-max-age-10000: a new login is required only if the last one is older (OpenID Connect Core §3.1.2.1; docs/security.md M137)',
  inBothModes(async (t, response_mode) => {
    const at = suite.browser()
    const first = await suite.signIn(t, at, { response_mode }, REMEMBER)
    server.clock.tick(2)
    const old = { response_mode, max_age: '1' }
    t.equal((await at.open(opened(old))).path, '/login')
    const second = await suite.signIn(t, at, old)
    t.equal(second.claims.auth_time, Number(first.claims.auth_time) + 2)

    server.clock.tick(2)
    const young = { response_mode, max_age: '10000' }
    t.not((await at.open(opened(young))).path, '/login')
    const third = await suite.signIn(t, at, young)
    t.equal(third.claims.auth_time, second.claims.auth_time)
  }),
)

t.test(
  'oidcc-id-token-hint: prompt=none succeeds only for the user of the hint (OpenID Connect Core §3.1.2.2; docs/security.md M138)',
  inBothModes(async (t, response_mode) => {
    const at = suite.browser()
    const first = await suite.signIn(t, at, { response_mode }, REMEMBER)
    const hint = { response_mode, prompt: 'none', id_token_hint: first.tokens.id_token }
    t.equal((await suite.signIn(t, at, hint)).claims.sub, first.claims.sub)

    const other = suite.browser()
    await suite.signIn(t, other, { response_mode }, { username: 'bob', ...REMEMBER })
    suite.refused(t, await suite.answer(other, hint), 'login_required')
    const { privateKey } = clientKey('RS256')
    const forged = compact({ alg: 'RS256' }, claimsOf(first.tokens.id_token), privateKey)
    suite.refused(t, await suite.answer(at, { ...hint, id_token_hint: forged }), 'invalid_request')
  }),
)

t.test(
  'oidcc-codereuse, oidcc-codereuse-30seconds: a second use fails and revokes the tokens of the first (RFC 6749 §4.1.2; docs/security.md E59)',
  inBothModes(async (t, response_mode) => {
    for (const wait of [0, 1, 30]) {
      const { params, tokens } = await suite.signIn(t, suite.browser(), { response_mode })
      server.clock.tick(wait)
      const form = { code_verifier: '' }
      const again = await redeem(server, String(params.get('code')), { as: 'lax', form })
      t.same([again.statusCode, again.json().error], [400, 'invalid_grant'], `after ${wait} s`)
      t.equal((await suite.userinfo(tokens.access_token)).statusCode, 401)
    }
  }),
)

t.test(
  'oidcc-claims-essential: a claim requested by name is returned by userinfo (OpenID Connect Core §5.5)',
  inBothModes(async (t, response_mode) => {
    const claims = JSON.stringify({ userinfo: { name: { essential: true }, unknown_claim: null } })
    const { tokens } = await suite.signIn(t, suite.browser(), { response_mode, claims })
    t.same((await suite.userinfo(tokens.access_token)).json(), { sub: alice.id, name: 'Alice' })
    const within = JSON.stringify({ id_token: { email: null, preferred_username: { essential: true } } })
    const { claims: idTokenClaims } = await suite.signIn(t, suite.browser(), {
      response_mode,
      claims: within,
    })
    t.match(idTokenClaims, { email: PROFILE.email, preferred_username: 'alice' })
    t.notOk('name' in idTokenClaims)
  }),
)

t.test(
  'a sub claim for a user other than the signed-in one does not succeed (OpenID Connect Core §5.5.1; docs/security.md M144)',
  async (t) => {
    const at = suite.browser()
    await suite.signIn(t, at, {}, REMEMBER)
    const bob = await server.store.users.findByUsername('bob')
    const claims = (sub: string) => JSON.stringify({ id_token: { sub: { value: sub } } })
    const silent = (sub: string) => suite.answer(at, { prompt: 'none', claims: claims(sub) })
    suite.refused(t, await silent(bob?.id ?? ''), 'login_required')
    t.ok((await silent(alice.id))?.params.get('code'))
  },
)

t.test(
  'oidcc-refresh-token: it is bound to its client, and its ID token keeps iss, sub, aud and auth_time (RFC 6749 §6, OpenID Connect Core §12.2; docs/security.md F65, F74)',
  inBothModes(async (t, response_mode) => {
    const { tokens, claims } = await suite.signIn(t, suite.browser(), { response_mode })
    const stranger = await refresh(server, tokens.refresh_token, {}, 'web')
    t.same([stranger.statusCode, stranger.json().error], [400, 'invalid_grant'])

    server.clock.tick(5)
    const next = (await refresh(server, tokens.refresh_token, {}, 'lax')).json()
    t.match(next.refresh_token, /^[\x20-\x7E]+$/)
    t.not(next.access_token, tokens.access_token)
    const later = claimsOf(next.id_token)
    const { iss, sub, aud, auth_time, sid, acr, amr } = claims
    t.match(later, { iss, sub, aud, auth_time, sid, acr, amr })
    t.equal(later.iat, Number(claims.iat) + 5)
    t.not(later.at_hash, claims.at_hash)
    t.notOk('nonce' in later, 'SHOULD NOT (OpenID Connect Core §12.2)')
    t.notOk('azp' in later)
    t.equal((await suite.userinfo(next.access_token)).statusCode, 200)
  }),
)

t.test('a refresh whose scope omits openid returns no ID token (OpenID Connect Core §12.2)', async (t) => {
  const { tokens } = await suite.signIn(t, suite.browser(), {})
  const narrow = (await refresh(server, tokens.refresh_token, { scope: 'orders:read' }, 'lax')).json()
  t.notOk('id_token' in narrow)
  t.equal((await suite.userinfo(narrow.access_token)).statusCode, 403)
})

t.test(
  'sub is a stable random id, the same for every client (OpenID Connect Core §2; docs/security.md M136)',
  async (t) => {
    const { claims: first } = await suite.signIn(t, suite.browser(), {})
    t.equal(first.sub, alice.id)
    await server.store.users.update(alice.id, (one) => ({
      ...one,
      ...PROFILE,
      name: 'Alice Baker',
      email: 'b@example.test',
      updatedAt: 2,
    }))
    const pkce = { code_challenge: CHALLENGE, code_challenge_method: 'S256' }
    const { claims: second } = await suite.signIn(t, suite.browser(), { client_id: 'web', ...pkce })
    t.equal(second.sub, first.sub)
    t.match(first.sub, /^u_[\w-]{27}$/, '160 random bits, unique to the account')
  },
)
