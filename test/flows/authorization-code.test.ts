import { createHash } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { openBrowser } from '../support/browser/browser.ts'
import {
  codeClient,
  freshCode,
  OWN_REDIRECT,
  REDIRECTS,
  redeem,
  seedUsers,
  signIn,
  tokensOf,
  VERIFIER,
  WEB_REDIRECT,
} from '../support/browser/sign-in.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { refused } from '../support/server/error-responses.ts'
import { basic, claimsOf, post, refresh } from '../support/server/requests.ts'
import { ORDERS } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'
import { isActive } from '../support/server/tokens.ts'

const server = await testServer()
t.teardown(() => server.close())
const { store, clock, logger } = server
const { alice, bob } = await seedUsers(store)
await store.clients.insert(codeClient({ id: 'other', redirectUris: [WEB_REDIRECT] }))
await store.clients.insert(codeClient({ id: 'once', grants: ['authorization_code'] }))
await store.clients.insert(codeClient({ id: 'later' }))
await store.clients.insert(codeClient({ id: 'bare', scopes: ['orders:read'] }))

/** Signs in once, so that a code needs no password. */
const signedInBrowser = openBrowser(server)
await signIn(signedInBrowser, { client_id: 'own' })

/** A code of the first-party client, which skips consent and is otherwise like any other. */
const code = async (overrides = {}) =>
  (await signIn(signedInBrowser, { client_id: 'own', ...overrides })).code
const own = (text: string, form = {}) => redeem(server, text, { as: 'own', form })
const userinfo = (token: string) =>
  server.inject({ url: '/oauth2/userinfo', headers: { authorization: `Bearer ${token}` } })
const GRANT = { error: 'invalid_grant' }

t.test(
  'an authorization code is exchanged for tokens of the user who signed in (OpenID Connect Core §3.1.3.7; docs/security.md C37, M136)',
  async (t) => {
    const signedIn = clock.now()
    const browser = openBrowser(server)
    const { code: text } = await signIn(browser, { nonce: 'n-0S6', scope: 'openid email orders:read' })
    clock.tick(30)
    const answer = await redeem(server, text)
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['cache-control'], 'no-store')
    t.equal(answer.headers.pragma, 'no-cache')
    const tokens = tokensOf(answer)
    t.same(Object.keys(tokens).sort(), [
      'access_token',
      'expires_in',
      'id_token',
      'refresh_token',
      'scope',
      'token_type',
    ])
    t.same([tokens.token_type, tokens.expires_in, tokens.scope], ['Bearer', 600, 'openid email orders:read'])

    const keys = createLocalJWKSet((await server.inject({ url: '/.well-known/jwks.json' })).json())
    const at = { currentDate: new Date(clock.now() * 1000), issuer: ISSUER }
    const { payload } = await jwtVerify(tokens.id_token, keys, { ...at, audience: 'web', typ: 'JWT' })
    const access = await jwtVerify(tokens.access_token, keys, { ...at, audience: ORDERS, typ: 'at+jwt' })
    const { iat = 0, exp = 0, sid, ...rest } = payload
    t.same([iat, exp > iat], [clock.now(), true])
    t.equal(sid, access.payload.sid)
    t.same(rest, {
      iss: ISSUER,
      sub: alice.id,
      aud: 'web',
      nonce: 'n-0S6',
      auth_time: signedIn,
      acr: 'urn:keyturn:acr:password',
      amr: ['pwd'],
      at_hash: createHash('sha256')
        .update(tokens.access_token)
        .digest()
        .subarray(0, 16)
        .toString('base64url'),
    })
    t.match(access.payload, { sub: alice.id, client_id: 'web', auth_time: signedIn, roles: ['clerk'] })
    t.equal((await refresh(server, tokens.refresh_token, {}, 'web')).statusCode, 200)
  },
)

t.test(
  'the ID token has a nonce only if one was sent, and is issued only for openid (OpenID Connect Core §3.1.2.1; docs/security.md M139)',
  async (t) => {
    t.equal('nonce' in claimsOf(tokensOf(await own(await code({ nonce: undefined }))).id_token), false)
    const plain = (await own(await code({ scope: 'orders:read' }))).json()
    t.same([plain.scope, plain.id_token], ['orders:read', undefined])
  },
)

t.test(
  'a client without the refresh token grant gets no refresh token, and its session ends with the access token',
  async (t) => {
    const text = await freshCode(server, { client_id: 'once' })
    const { refresh_token, access_token } = tokensOf(await redeem(server, text, { as: 'once' }))
    t.equal(refresh_token, undefined)
    const session = await store.clientSessions.find(String(claimsOf(access_token).sid))
    t.equal(session?.expiresAt, clock.now() + 600)
  },
)

t.test(
  'of 50 concurrent redemptions one succeeds, and its tokens are then revoked (RFC 6749 §4.1.2; docs/security.md E59, E60, P3)',
  async (t) => {
    const text = await code()
    const answers = await Promise.all(Array.from({ length: 50 }, () => own(text)))
    const won = answers.filter(({ statusCode }) => statusCode === 200)
    t.equal(won.length, 1)
    for (const answer of answers) if (answer !== won[0]) refused(t, answer, GRANT)
    const { access_token, refresh_token } = tokensOf(won[0] ?? (await own(text)))
    t.equal(await isActive(server, access_token, 'own'), false)
    refused(t, await refresh(server, refresh_token, {}, 'own'), GRANT)
    const { sid } = claimsOf(access_token)
    t.equal(
      logger.audits('code.reuse_detected').filter((one) => one.sid === sid).length,
      1,
      'and is audited once',
    )
  },
)

t.test(
  'a replayed code revokes the tokens issued for it, whether replayed at once or days later (RFC 6749 §4.1.2; docs/security.md E59)',
  async (t) => {
    for (const later of [0, 1, 30, 3600, 3 * 86_400]) {
      const text = await code()
      const { access_token, refresh_token } = tokensOf(await own(text))
      // A refresh, so that its token is of a later generation.
      const next = (await refresh(server, refresh_token, {}, 'own')).json()
      clock.tick(later)
      await server.deps.jobs.prune()
      if (later < 600) t.equal((await userinfo(access_token)).statusCode, 200)
      refused(t, await own(text), GRANT, `after ${later} s`)
      for (const token of [access_token, next.access_token, refresh_token, next.refresh_token]) {
        t.equal(await isActive(server, token, 'own'), false)
      }
      t.equal((await userinfo(access_token)).statusCode, 401)
      refused(t, await refresh(server, next.refresh_token, {}, 'own'), GRANT)
    }
    // Another session of the same user at the same client is not affected.
    const { access_token } = tokensOf(await own(await code()))
    t.equal(await isActive(server, access_token, 'own'), true)
  },
)

t.test(
  'another client can neither redeem a code nor revoke its tokens (docs/security.md D50, D54, E57, E58, P8, P11)',
  async (t) => {
    const cases: Record<string, (text: string) => ReturnType<typeof own>> = {
      'another confidential client': (text) =>
        redeem(server, text, { as: 'other', form: { redirect_uri: OWN_REDIRECT } }),
      'a public client': (text) => redeem(server, text, { as: 'spa', form: { redirect_uri: OWN_REDIRECT } }),
      'another redirect URI': (text) => own(text, { redirect_uri: WEB_REDIRECT }),
      'a longer redirect URI': (text) => own(text, { redirect_uri: `${OWN_REDIRECT}/` }),
      'a redirect URI in capitals': (text) => own(text, { redirect_uri: OWN_REDIRECT.toUpperCase() }),
      'no verifier': (text) => own(text, { code_verifier: '' }),
      'another verifier': (text) => own(text, { code_verifier: 'a'.repeat(43) }),
      'the verifier in capitals': (text) => own(text, { code_verifier: VERIFIER.toUpperCase() }),
      'the challenge itself': (text) =>
        own(text, { code_verifier: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM' }),
    }
    for (const redeemed of [false, true]) {
      for (const [label, attempt] of Object.entries(cases)) {
        const text = await code()
        const before = redeemed ? tokensOf(await own(text)) : undefined
        refused(t, await attempt(text), GRANT, `${label}, ${redeemed ? 'after' : 'before'} the owner`)
        const { access_token } = before ?? tokensOf(await own(text))
        t.equal(
          await isActive(server, access_token, 'own'),
          true,
          `${label}: the owner’s tokens remain valid`,
        )
      }
    }
    const text = await code()
    const { access_token } = tokensOf(await own(text))
    const wrong = await post(
      server,
      '/oauth2/token',
      { grant_type: 'authorization_code', code: text, code_verifier: VERIFIER },
      { authorization: basic('own', 'wrong') },
    )
    refused(t, wrong, { status: 401, error: 'invalid_client' })
    t.equal(await isActive(server, access_token, 'own'), true)
  },
)

t.test(
  'a code_verifier has 43 to 128 unreserved characters (RFC 7636 §4.1; docs/security.md D54, P10)',
  async (t) => {
    for (const verifier of [
      'x',
      VERIFIER.slice(1),
      `${VERIFIER}!`,
      `${VERIFIER}=`,
      `${VERIFIER} `,
      'a'.repeat(129),
    ]) {
      const text = await code()
      refused(t, await own(text, { code_verifier: verifier }), GRANT, verifier)
      t.equal((await own(text)).statusCode, 200)
    }
  },
)

t.test(
  'after five wrong verifiers the right one is refused too (RFC 7636 §4.1; docs/security.md D54, P10)',
  async (t) => {
    const guess = (n: number) => `${VERIFIER.slice(2)}${10 + n}`
    const four = await code()
    for (let n = 0; n < 4; n += 1) refused(t, await own(four, { code_verifier: guess(n) }), GRANT)
    t.equal((await own(four)).statusCode, 200)
    const five = await code()
    for (let n = 0; n < 5; n += 1) refused(t, await own(five, { code_verifier: guess(n) }), GRANT)
    refused(t, await own(five), GRANT)
    const parallel = await code()
    await Promise.all(Array.from({ length: 30 }, (_, n) => own(parallel, { code_verifier: guess(n) })))
    refused(t, await own(parallel), GRANT, 'all at once')
  },
)

t.test('an authorization code expires after a minute (RFC 6749 §4.1.2; docs/security.md C47)', async (t) => {
  const inTime = await code()
  const late = await code()
  clock.tick(59)
  t.equal((await own(inTime)).statusCode, 200)
  clock.tick(1)
  refused(t, await own(late), GRANT)
  clock.tick(-30)
  t.equal((await own(late)).statusCode, 200, 'only its expiry has refused it: nothing was stored')
})

t.test(
  'a modified code is invalid and writes nothing (RFC 6749 §10.5, RFC 6749 §10.10; docs/security.md P11, A12)',
  async (t) => {
    const text = await code()
    await writesNothing(t, server, async () => {
      for (let i = 0; i < text.length; i += 1) {
        const changed = text.slice(0, i) + (text[i] === 'A' ? 'B' : 'A') + text.slice(i + 1)
        refused(t, await own(changed), GRANT, `character ${i}`)
      }
      for (const other of [
        `${text} `,
        `${text}=`,
        text.slice(0, -1),
        text.slice(4),
        text.toUpperCase(),
        'x',
        "' OR 1=1--",
      ]) {
        refused(t, await own(other), GRANT, other)
      }
      refused(t, await own(''), { error: 'invalid_request' }, 'none')
      refused(t, await own(text, { code: [text, text] }), { error: 'invalid_request' }, 'twice')
    })
    t.equal((await own(text)).statusCode, 200)
  },
)

t.test(
  'a code has 256 random bits and a prefix, and only its hash is stored (RFC 6749 §10.10, RFC 6749 App. A.12; docs/security.md A12, A13)',
  async (t) => {
    const codes = await Promise.all(Array.from({ length: 200 }, () => code()))
    t.equal(new Set(codes).size, 200)
    t.ok(codes.every((one) => /^ktc_[A-Za-z0-9_-]{43}$/.test(one)))
    for (let i = 4; i < 46; i += 1) {
      t.ok(new Set(codes.map((one) => one[i])).size > 32, `character ${i} is random`)
    }
    const rows = JSON.stringify(await store.db.query('SELECT * FROM authorization_codes'))
    t.ok(codes.every((one) => !rows.includes(one.slice(4))))
  },
)

t.test(
  'redirect_uri must be repeated exactly, and may be omitted with PKCE (RFC 6749 §4.1.3, OAuth 2.1 §10.2; docs/security.md E58)',
  async (t) => {
    const leftOut = { redirect_uri: '' }
    t.equal((await own(await code(), leftOut)).statusCode, 200, 'bound by PKCE')
    const none = { code_challenge: undefined, code_challenge_method: undefined }
    const lax = () => freshCode(server, { client_id: 'lax', ...none })
    const as = 'lax'
    refused(
      t,
      await redeem(server, await lax(), { as, form: { ...leftOut, code_verifier: '' } }),
      GRANT,
      'not bound',
    )
    t.equal((await redeem(server, await lax(), { as, form: { code_verifier: '' } })).statusCode, 200)
    // It was omitted from the request, because only one is registered.
    const implied = { redirect_uri: undefined, scope: 'orders:read' }
    t.equal((await own(await code(implied), leftOut)).statusCode, 200)
    refused(t, await own(await code(implied)), GRANT, 'sent without having been requested')
  },
)

t.test(
  'a verifier for a code without a challenge is refused as a downgrade (RFC 9700 §4.8.2; docs/security.md D51, P9)',
  async (t) => {
    const none = { code_challenge: undefined, code_challenge_method: undefined }
    const text = await freshCode(server, { client_id: 'lax', ...none })
    refused(t, await redeem(server, text, { as: 'lax' }), { error: 'invalid_request' })
    t.equal(
      (await redeem(server, text, { as: 'lax', form: { code_verifier: '' } })).statusCode,
      200,
      'not consumed by it',
    )
  },
)

t.test('resource at the token endpoint must be the one that was authorized (RFC 8707 §2.2)', async (t) => {
  t.equal((await own(await code(), { resource: ORDERS })).statusCode, 200)
  t.equal(
    (await own(await code(), { resource: `${ORDERS}/` })).statusCode,
    200,
    'the same URI (RFC 3986 §6.2.3)',
  )
  const text = await code()
  for (const resource of ['https://stock.test', ISSUER, 'x', [ORDERS, 'https://stock.test']]) {
    refused(t, await own(text, { resource }), { error: 'invalid_target' }, String(resource))
  }
  t.equal((await own(text)).statusCode, 200)
})

t.test('an API is the audience only with a granted scope of its own (RFC 8707 §2)', async (t) => {
  for (const [username, overrides] of [
    ['alice', { scope: 'openid', resource: ORDERS }],
    ['bob', { client_id: 'bare', scope: undefined, resource: ORDERS }],
  ] as const) {
    await t.rejects(freshCode(server, overrides, { username }), { message: /error=invalid_target/ }, username)
  }
})

t.test(
  'scope at the token endpoint is ignored, because consent has fixed it (RFC 6749 §3.1; docs/security.md A5)',
  async (t) => {
    const tokens = tokensOf(
      await own(await code({ scope: 'openid orders:read' }), { scope: 'openid orders:write' }),
    )
    t.equal(tokens.scope, 'openid orders:read')
  },
)

t.test(
  'a user, client or session disabled after authorization prevents redemption (RFC 6749 §5.2, RFC 7662 §4; docs/security.md E62)',
  async (t) => {
    const between = async (change: () => Promise<unknown>, back: () => Promise<unknown> = async () => {}) => {
      const { code: text } = await signIn(openBrowser(server), {
        client_id: 'later',
        scope: 'openid orders:read orders:write',
      })
      await change()
      await server.poll()
      const answer = await redeem(server, text, { as: 'later' })
      await back()
      await server.poll()
      return answer
    }
    const setDisabled = (disabled: boolean) => () => store.users.setDisabled(alice.id, disabled)
    refused(t, await between(setDisabled(true), setDisabled(false)), GRANT, 'the account')
    const later = codeClient({ id: 'later' })
    const replaced = (change: object) => () => store.clients.update('later', () => ({ ...later, ...change }))
    const denied = await between(replaced({ disabled: true }), replaced({}))
    refused(t, denied, { status: 401, error: 'invalid_client' }, 'the client')
    const noGrant = await between(replaced({ grants: ['client_credentials'] }), replaced({}))
    refused(t, noGrant, { error: 'unauthorized_client' }, 'the grant')
    const signOut = async () => {
      for (const { id } of await store.userSessions.list(alice.id, clock.now())) {
        await store.userSessions.end(id, clock.now(), 'test')
      }
    }
    refused(t, await between(signOut), GRANT, 'the sign-in')
    const scopes = tokensOf(
      await between(replaced({ scopes: ['openid', 'orders:read'] }), replaced({})),
    ).scope
    t.equal(scopes, 'openid orders:read', 'a scope of the client')
    const removeRole = () => store.users.removeRole(alice.id, 'clerk')
    const restoreRole = () => store.users.addRole(alice.id, 'clerk')
    refused(
      t,
      await between(removeRole, restoreRole),
      { error: 'invalid_target' },
      'the only role for the API',
    )
    const disabledMeanwhile = async () => {
      await replaced({ disabled: true })()
      await store.clientSessions.revokeMatching({ clientId: 'later' }, clock.now(), 'client disabled')
      await replaced({})()
    }
    refused(t, await between(disabledMeanwhile), GRANT, 'the client, which is enabled again')
    refused(
      t,
      await between(replaced({ redirectUris: ['https://app.test/new'] }), replaced({})),
      GRANT,
      'the redirect URI',
    )
  },
)

t.test(
  'a public client identifies itself by client_id and proves itself by the verifier (RFC 6749 §3.2.1; docs/security.md B20)',
  async (t) => {
    for (const as of ['spa', 'native']) {
      const text = await freshCode(server, { client_id: as })
      const form = {
        grant_type: 'authorization_code',
        code: text,
        redirect_uri: REDIRECTS[as] ?? '',
        code_verifier: VERIFIER,
      }
      refused(
        t,
        await post(server, '/oauth2/token', form),
        { status: 401, error: 'invalid_client' },
        'nameless',
      )
      t.equal((await redeem(server, text, { as })).statusCode, 200, as)
    }
    const text = await freshCode(server, {
      client_id: 'native',
      redirect_uri: 'http://127.0.0.1:51004/callback',
    })
    refused(
      t,
      await redeem(server, text, { as: 'native', form: { redirect_uri: 'http://127.0.0.1:51005/callback' } }),
      GRANT,
      'another port',
    )
    const otherPort = { redirect_uri: 'http://127.0.0.1:51004/callback' }
    t.equal((await redeem(server, text, { as: 'native', form: otherPort })).statusCode, 200)
  },
)

t.test(
  'two users of one client get separate sessions (OpenID Connect Core §2, §5.7; docs/security.md M136)',
  async (t) => {
    const browser = openBrowser(server)
    const { code: text } = await signIn(browser, { scope: 'openid' }, { username: 'bob' })
    t.equal(claimsOf(tokensOf(await redeem(server, text)).id_token).sub, bob.id)
  },
)

t.test(
  'a code issued on one node can be redeemed once on any node (RFC 6749 §4.1.2; docs/security.md E60, P3)',
  async (t) => {
    const options = {
      database: `${t.testdir()}/keyturn.db`,
      masterKey: Buffer.alloc(32, 7).toString('base64url'),
      clock,
    }
    const nodes: TestServer[] = [await testServer(options), await testServer(options)]
    t.teardown(() => Promise.all(nodes.map((node) => node.close())))
    const [left, right] = nodes as [TestServer, TestServer]
    await seedUsers(left.store)
    const browser = openBrowser(left)
    await signIn(browser, { client_id: 'own' })
    for (let round = 0; round < 5; round += 1) {
      const { code: text } = await signIn(browser, { client_id: 'own' })
      browser.server = round % 2 ? left : right
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, i) => redeem(i % 2 ? left : right, text, { as: 'own' })),
      )
      t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, ...Array(49).fill(400)])
      const { access_token } = tokensOf(
        answers.find(({ statusCode }) => statusCode === 200) ?? (answers[0] as never),
      )
      t.equal(await isActive(left, access_token, 'own'), false)
      t.equal(await isActive(right, access_token, 'own'), false)
    }
    // What an honest client does, once.
    const { code: text } = await signIn(browser, { client_id: 'own' })
    const { access_token } = tokensOf(await redeem(left, text, { as: 'own' }))
    t.equal(await isActive(right, access_token, 'own'), true)
  },
)
