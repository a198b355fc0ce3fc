import type { LightMyRequestResponse } from 'fastify'
import { UnsecuredJWT } from 'jose'
import t, { type Test } from 'tap'
import { revokeKey } from '../../src/keys/rotate.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { basic, claimsOf, clientCredentials, encodeForm, post } from '../support/server/requests.ts'
import { resigned } from '../support/server/resigned-tokens.ts'
import { client, seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { revoke, signedIn } from '../support/server/tokens.ts'

const URL = '/oauth2/userinfo'
const PROFILE = { name: 'Alice', email: 'alice@example.test', emailVerified: true }

async function world(t: Test) {
  const server = await testServer()
  t.teardown(() => server.close())
  const { alice } = await seed(server.store)
  await server.store.users.update(alice.id, (one) => ({ ...one, ...PROFILE, updatedAt: 1234 }))
  await server.store.clients.insert(
    client({ id: 'portal', grants: ['password'], scopes: ['openid', 'profile', 'email', 'orders:read'] }),
  )
  const { access_token: plain } = await signedIn(
    server,
    { scope: 'openid profile email orders:read' },
    'portal',
  )
  /** What a sign-in with these scopes would have produced. */
  const withScope = (scope: string, more: Record<string, unknown> = {}) =>
    resigned(server, plain, { scope: `${scope} orders:read`.trim(), ...more })
  const get = (headers: Record<string, string> = {}, url = URL) =>
    server.inject({ method: 'GET', url, headers })
  const ask = (token: string) => get({ authorization: `Bearer ${token}` })
  return { server, alice, plain, withScope, get, ask }
}

const { server, alice, plain, withScope, get, ask } = await world(t)
const token = await withScope('openid profile email')
const ALL = {
  sub: alice.id,
  name: 'Alice',
  preferred_username: 'alice',
  updated_at: 1234,
  email: 'alice@example.test',
  email_verified: true,
}

/** The status, the error code in body and header, and the rest of the header. */
function seen({ statusCode, body, headers }: LightMyRequestResponse): unknown[] {
  const header = String(headers['www-authenticate'] ?? '')
  const code = body === '' ? undefined : JSON.parse(body).error
  const errorCode = /error="([^"]*)"/.exec(header)?.[1]
  return [statusCode, code, errorCode === code ? header.startsWith('Bearer realm="keyturn"') : header]
}

t.test(
  'GET and POST return the user’s claims as uncacheable JSON (OpenID Connect Core §5.3; docs/security.md M141)',
  async (t) => {
    for (const [label, answer] of Object.entries({
      'by GET': await ask(token),
      'by POST': await server.inject({
        method: 'POST',
        url: URL,
        headers: { authorization: `Bearer ${token}` },
      }),
      'in a form': await post(server, URL, { access_token: token }),
      'with another name of the scheme': await get({ authorization: `bEARER   ${token}` }),
    })) {
      t.same([answer.statusCode, answer.json()], [200, ALL], label)
      t.match(answer.headers['content-type'], /^application\/json/)
      t.equal(answer.headers['cache-control'], 'no-store')
      t.equal(answer.headers['access-control-allow-origin'], '*')
    }
  },
)

t.test(
  'the claims are those of the token’s scopes and the requested claim names (OpenID Connect Core §5.4, §5.5)',
  async (t) => {
    t.same((await ask(await withScope('openid'))).json(), { sub: alice.id })
    const { sub, email, email_verified } = ALL
    t.same((await ask(await withScope('email openid'))).json(), { sub, email, email_verified })
    const session = await server.store.clientSessions.find(String(claimsOf(plain).sid))
    if (!session) throw new Error('no session')
    await server.store.clientSessions.insert({ ...session, id: 'named', userinfoClaims: ['name', 'picture'] })
    const named = await withScope('openid', { sid: 'named' })
    t.same((await ask(named)).json(), { sub, name: 'Alice' })
  },
)

t.test(
  'a request without a token gets a challenge without an error code (RFC 6750 §3.1; docs/security.md M142)',
  async (t) => {
    for (const [label, answer] of Object.entries({
      nothing: await get(),
      'an empty form': await post(server, URL, {}),
      'another scheme': await get({ authorization: basic('app') }),
      'a scheme that begins alike': await get({ authorization: `BearerX ${token}` }),
    })) {
      t.same([answer.statusCode, answer.body], [401, ''], label)
      t.equal(
        answer.headers['www-authenticate'],
        'Bearer realm="keyturn", DPoP algs="ES256 PS256 EdDSA Ed25519"',
        label,
      )
    }
  },
)

t.test(
  'two ways of sending the token, or an unsupported one, are invalid_request (RFC 6750 §2, OAuth 2.1 §5.1; docs/security.md M142)',
  async (t) => {
    const bearer = { authorization: `Bearer ${token}` }
    const form = (payload: string) =>
      server.inject({
        method: 'POST',
        url: URL,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        payload,
      })
    for (const [label, answer] of Object.entries({
      'header and form': await post(server, URL, { access_token: token }, bearer),
      'another scheme and form': await post(
        server,
        URL,
        { access_token: token },
        { authorization: basic('app') },
      ),
      'twice in the form': await form(`${encodeForm({ access_token: token })}&access_token=x`),
      'in the query': await get({}, `${URL}?access_token=${token}`),
      'in query and header': await get(bearer, `${URL}?access_token=${token}`),
      'in the query of a POST': await post(server, `${URL}?access_token=${token}`, {}),
      JSON: await server.inject({ method: 'POST', url: URL, payload: { access_token: token } }),
      'no token in the header': await get({ authorization: 'Bearer' }),
      'two tokens in the header': await get({ authorization: `Bearer ${token} ${token}` }),
      'a quote in the header': await get({ authorization: `Bearer "${token}"` }),
    })) {
      t.same(seen(answer), [400, 'invalid_request', true], label)
    }
  },
)

t.test(
  'a query is ignored, but a token in it is refused (RFC 6750 §2.3, RFC 9700 §4.3.2; docs/security.md M142)',
  async (t) => {
    const bearer = { authorization: `Bearer ${token}` }
    for (const query of [
      '?',
      '?schema=openid',
      '?a=1&a=2&b',
      '?%zz=%FF',
      '?access_tokens=x&x=access_token',
    ]) {
      for (const [label, answer] of Object.entries({
        GET: await get(bearer, URL + query),
        POST: await server.inject({ method: 'POST', url: URL + query, headers: bearer }),
        'a form': await post(server, URL + query, { access_token: token }),
      })) {
        t.same([answer.statusCode, answer.json()], [200, ALL], `${label} with ${query}`)
      }
    }
    for (const query of [
      `?access_token=${token}`,
      '?access_token',
      `?schema=openid&%61ccess_token=${token}`,
    ]) {
      t.same(seen(await get(bearer, URL + query)), [400, 'invalid_request', true], query)
    }
    t.equal((await get({}, `${URL}?schema=openid`)).statusCode, 401, 'a query is no token')
  },
)

t.test(
  'a foreign token, or one that is not an access token, is refused (RFC 6750 §3.1; docs/security.md M142)',
  async (t) => {
    const { refresh_token: refreshToken } = await signedIn(server)
    const [head = '', body = '', signature = ''] = token.split('.')
    await writesNothing(t, server, async () => {
      for (const [label, text] of Object.entries({
        garbage: 'x',
        'alg none': new UnsecuredJWT(claimsOf(token)).encode(),
        'no signature': `${head}.${body}.`,
        'another signature': `${head}.${body}.${signature.slice(0, -6)}AAAAAA`,
        'a refresh token': refreshToken,
        'an ID token': await resigned(server, token, {}, 'JWT'),
        'a logout token': await resigned(server, token, {}, 'logout+jwt'),
        'of another issuer': await withScope('openid', { iss: 'https://other.test' }),
        expired: await withScope('openid', { exp: server.clock.now() - 1 }),
        'of an unknown session': await withScope('openid', { sid: 'gone' }),
        'of an unknown client': await withScope('openid', { client_id: 'gone' }),
        'of another user': await withScope('openid', { sub: 'u_other' }),
      })) {
        t.same(seen(await ask(text)), [401, 'invalid_token', true], label)
      }
    })
  },
)

t.test(
  'a token without openid, or without a user, is insufficient_scope (RFC 6750 §3.1; docs/security.md M142)',
  async (t) => {
    const machine = (await clientCredentials(server)).json().access_token as string
    for (const [label, text] of Object.entries({
      'API scopes': await withScope(''),
      'a similar scope': await withScope('openid2 OPENID profile'),
      'a token of the client itself': machine,
    })) {
      const answer = await ask(text)
      t.same(seen(answer), [403, 'insufficient_scope', true], label)
      t.match(answer.headers['www-authenticate'], /, scope="openid"$/)
    }
  },
)

t.test(
  'revoking the token, session, user, client or key takes effect here at once (RFC 6750 §3.1)',
  async (t) => {
    type World = Awaited<ReturnType<typeof world>>
    const revocations: Record<string, (w: World) => Promise<unknown>> = {
      token: (w) => revoke(w.server, w.plain, 'portal'),
      session: async (w) => {
        const [session] = await w.server.store.clientSessions.list({ userId: w.alice.id }, 1)
        await w.server.store.clientSessions.revoke(session?.id ?? '', w.server.clock.now(), 'test')
      },
      // This revokes all its tokens so far: they share an entry in the status list.
      'another token of the session': async (w) => {
        const [session] = await w.server.store.clientSessions.list({ userId: w.alice.id }, 1)
        if (!session?.status) throw new Error('no index')
        const fresh = { list: session.status.list, idx: session.status.idx ^ 1 }
        t.ok(await w.server.store.clientSessions.replaceStatus(session.id, session.status, fresh))
      },
      user: (w) => w.server.store.users.setDisabled(w.alice.id, true),
      client: (w) => w.server.store.clients.update('portal', (one) => ({ ...one, disabled: true })),
      key: (w) => revokeKey(w.server.deps.keys, kidOf(w.plain), { actor: 'test' }),
    }
    for (const [what, end] of Object.entries(revocations)) {
      const w = await world(t)
      const text = await w.withScope('openid')
      t.equal((await w.ask(text)).statusCode, 200, `${what}: before`)
      await end(w)
      await w.server.poll()
      t.same(seen(await w.ask(text)), [401, 'invalid_token', true], what)
    }
  },
)

const kidOf = (jwt: string): string =>
  JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()).kid

t.test('a refusal is audited once, and a request without a token is not audited', async (t) => {
  const { logger } = server
  const before = logger.audits('userinfo.refused').length
  await get()
  t.equal(logger.audits('userinfo.refused').length, before)
  await ask(await withScope(''))
  await get({}, `${URL}?access_token=${token}`)
  const [scope, query] = logger.audits('userinfo.refused').slice(before)
  t.match(scope, { reason: 'insufficient_scope', client_id: 'portal' })
  t.match(query, { reason: 'invalid_request' })
  t.equal(logger.audits('userinfo.refused').length, before + 2)
})
