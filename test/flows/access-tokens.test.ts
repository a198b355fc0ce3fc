import { decodeProtectedHeader } from 'jose'
import t from 'tap'
import { claimsOf, clientCredentials, login } from '../support/server/requests.ts'
import { api, client, ORDERS, STOCK, seed } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'
import { isActive, signedIn } from '../support/server/tokens.ts'

const server = await testServer()
t.teardown(() => server.close())
const { alice } = await seed(server.store)
const { clock, store } = server

const tokenOf = async (form = {}, as = 'machine'): Promise<string> => {
  const answer = await clientCredentials(server, form, as)
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${answer.body}`)
  return answer.json().access_token
}

t.test(
  'the header of an access token has exactly alg, typ and kid (RFC 9068 §2.1; docs/security.md H86, H94)',
  async (t) => {
    const { keys } = (await server.inject({ url: '/.well-known/jwks.json' })).json()
    const [activeKid] = server.deps.signing.ring.ring().keys.filter(({ state }) => state === 'active')
    for (const token of [await tokenOf(), (await signedIn(server)).access_token]) {
      const header = decodeProtectedHeader(token)
      t.same(header, { alg: 'RS256', typ: 'at+jwt', kid: activeKid?.kid })
      t.ok(keys.some(({ kid }: { kid: string }) => kid === header.kid))
    }
  },
)

t.test(
  'a machine client’s access token has exactly the claims of RFC 9068 §2.2 (RFC 9068 §2.2, RFC 9068 §2.2.3; docs/security.md H87, H89, E64)',
  async (t) => {
    const now = clock.now()
    const { jti, status, ...claims } = claimsOf(await tokenOf({ scope: 'orders:read' }))
    t.same(claims, {
      iss: ISSUER,
      sub: 'machine',
      aud: ORDERS,
      client_id: 'machine',
      iat: now,
      exp: now + 600,
      scope: 'orders:read',
    })
    t.match(status, { status_list: { idx: Number, uri: `${ISSUER}/status-lists/1` } })
    t.match(jti, /^[A-Za-z0-9_-]{27,}$/)
  },
)

t.test(
  'a user’s access token also has roles, auth_time, acr and sid (RFC 9068 §2.2.1, §2.2.3.1; docs/security.md H87)',
  async (t) => {
    const now = clock.now()
    const { jti, sid, status, ...claims } = claimsOf((await signedIn(server)).access_token)
    t.same(claims, {
      iss: ISSUER,
      sub: alice.id,
      aud: ORDERS,
      client_id: 'app',
      iat: now,
      exp: now + 600,
      scope: 'orders:read orders:write',
      roles: ['clerk'],
      auth_time: now,
      acr: 'urn:keyturn:acr:password',
    })
    t.match(status, { status_list: { idx: Number, uri: `${ISSUER}/status-lists/0` } })
    t.match(jti, /^[A-Za-z0-9_-]{27,}$/)
    t.match(sid, /^[A-Za-z0-9_-]{27,}$/)
  },
)

t.test(
  'the token response has the members and types of RFC 6749 §5.1 (RFC 6749 §3.3, RFC 6749 App. A.12; docs/security.md A11, A13)',
  async (t) => {
    const { access_token: token, ...rest } = (await clientCredentials(server)).json()
    t.strictSame(rest, { token_type: 'Bearer', expires_in: 600, scope: 'orders:read orders:write' })
    t.match(token, /^[\x21-\x7E]+$/)
    const pair = await signedIn(server)
    t.match(pair.refresh_token, /^[\x21-\x7E]+$/)
    t.match(pair.access_token, /^[\x21-\x7E]+$/)
  },
)

t.test(
  'every access token has a unique jti, and no part of it can be guessed (RFC 6749 §10.10; docs/security.md A12)',
  async (t) => {
    const ids: string[] = []
    for (let i = 0; i < 100; i += 1) ids.push(String(claimsOf(await tokenOf()).jti))
    t.equal(new Set(ids).size, ids.length)
    // 27 base64url characters are 160 bits; a constant character would make it fewer.
    for (let at = 0; at < 26; at += 1)
      t.ok(new Set(ids.map((id) => id[at])).size > 20, `character ${at} varies`)
  },
)

t.test(
  'refresh tokens and session ids are equally unguessable except for their fixed prefix (RFC 6749 §10.10; docs/security.md A12)',
  async (t) => {
    const tokens: string[] = []
    for (let i = 0; i < 8; i += 1) tokens.push((await signedIn(server)).refresh_token)
    const parts = tokens.map((token) => token.split('.'))
    t.same([...new Set(parts.map(([tag]) => tag))], ['ktr'])
    t.equal(new Set(parts.map(([, , session]) => session)).size, tokens.length)
    t.equal(new Set(parts.map(([, , , , mac]) => mac)).size, tokens.length)
    t.ok(parts.every(([, , session, , mac]) => session?.length === 27 && mac?.length === 43))
  },
)

t.test(
  'a token’s lifetime is the shorter of the API’s and the client’s, or else the default (RFC 6750 §5.3; docs/security.md H95)',
  async (t) => {
    await store.apis.insert(api({ identifier: 'https://short.test', scopes: ['short'], accessTokenTtl: 120 }))
    await store.clients.insert(client({ id: 'plain', scopes: ['short', 'orders:read'] }))
    await store.clients.insert(client({ id: 'brief', scopes: ['short', 'orders:read'], accessTokenTtl: 60 }))
    await store.clients.insert(client({ id: 'long', scopes: ['short', 'orders:read'], accessTokenTtl: 7200 }))
    await server.poll()
    const lifetimes = {
      plain: { short: 120, 'orders:read': 600 },
      brief: { short: 60, 'orders:read': 60 },
      long: { short: 120, 'orders:read': 7200 },
    }
    for (const [as, expected] of Object.entries(lifetimes)) {
      for (const [scope, seconds] of Object.entries(expected)) {
        const answer = (await clientCredentials(server, { scope }, as)).json()
        const { iat, exp } = claimsOf(answer.access_token)
        t.equal(answer.expires_in, seconds, `${as} for ${scope}`)
        t.equal(Number(exp) - Number(iat), seconds, `${as} for ${scope}`)
      }
    }
  },
)

t.test(
  'a token becomes inactive in the second in which it expires (RFC 9068 §2.2, RFC 7662 §4; docs/security.md H87, I106)',
  async (t) => {
    const token = await tokenOf()
    clock.tick(599)
    t.equal(await isActive(server, token, 'machine'), true)
    clock.tick(1)
    t.equal(await isActive(server, token, 'machine'), false)
  },
)

t.test(
  'aud is the one API that owns the scopes, or else the default (RFC 9068 §3; docs/security.md H88)',
  async (t) => {
    await store.clients.insert(client({ id: 'stocker', scopes: ['stock:read'] }))
    await store.clients.insert(client({ id: 'bare', scopes: [] }))
    await store.clients.insert(client({ id: 'own', scopes: ['internal'] }))
    t.equal(claimsOf(await tokenOf()).aud, ORDERS)
    t.equal(claimsOf(await tokenOf({}, 'stocker')).aud, STOCK)
    const nothing = claimsOf(await tokenOf({}, 'bare'))
    t.equal(nothing.aud, ISSUER)
    t.notOk('scope' in nothing, 'an empty scope is omitted (RFC 6749 §3.3)')
    t.match(claimsOf(await tokenOf({}, 'own')), { aud: ISSUER, scope: 'internal' })
  },
)

t.test('DEFAULT_AUDIENCE is used for tokens that concern no API, with its own lifetime', async (t) => {
  const other = await testServer({
    settings: { DEFAULT_AUDIENCE: 'urn:everything', ACCESS_TOKEN_TTL: '5m' },
  })
  t.teardown(() => other.close())
  await seed(other.store)
  await other.store.clients.insert(client({ id: 'bare', scopes: [] }))
  const bare = (await clientCredentials(other, {}, 'bare')).json()
  t.equal(claimsOf(bare.access_token).aud, 'urn:everything')
  t.equal(bare.expires_in, 300)
  const named = await clientCredentials(other, { resource: 'urn:everything' }, 'bare')
  t.equal(claimsOf(named.json().access_token).aud, 'urn:everything')
  t.equal(claimsOf((await clientCredentials(other)).json().access_token).aud, ORDERS)
})

t.test(
  'a token is never valid for two audiences: aud is a single string (RFC 9068 §5; docs/security.md H88)',
  async (t) => {
    for (const token of [await tokenOf(), (await login(server)).json().access_token]) {
      t.type(claimsOf(token).aud, 'string')
    }
  },
)

t.test(
  'a token’s iss is identical to the issuer in the metadata (RFC 9068 §4, RFC 8414 §3.3; docs/security.md H96)',
  async (t) => {
    for (const path of ['oauth-authorization-server', 'openid-configuration']) {
      const { issuer } = (await server.inject({ url: `/.well-known/${path}` })).json()
      t.equal(claimsOf(await tokenOf()).iss, issuer)
    }
  },
)
