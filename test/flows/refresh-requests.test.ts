/** What a refresh request must contain: the right client, scope and resource, and a token that this server issued. */

import { createHmac, randomBytes } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import { hashPassword } from '../../src/accounts/password.ts'
import { decryptDataKey } from '../../src/keys/data-keys.ts'
import { deriveKey } from '../../src/keys/encryption.ts'
import { createRefreshTokenCodec } from '../../src/tokens/refresh-token.ts'
import { dataKeysOf } from '../support/server/keys.ts'
import { countQueries } from '../support/server/query-count.ts'
import { basic, claimsOf, encodeForm, type Form, post, refresh } from '../support/server/requests.ts'
import { client, ORDERS, STOCK, seed, user } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'
import { isActive, refreshed, signedIn } from '../support/server/tokens.ts'

const masterKey = randomBytes(32)
const server = await testServer({ masterKey: masterKey.toString('base64url') })
t.teardown(() => server.close())
const { store } = server
await seed(store)
await store.roles.insert({ name: 'keeper', scopes: ['stock:read'], requireSecondFactor: false, createdAt: 1 })
await store.users.insert(await user({ username: 'bob', roles: ['clerk', 'keeper'] }))
await store.clients.insert(client({ id: 'other', grants: ['password', 'refresh_token'] }))
await store.clients.insert(client({ id: 'tablet', authMethod: 'none', grants: ['refresh_token'] }))
await store.clients.insert(
  client({
    id: 'shop',
    grants: ['password', 'refresh_token'],
    scopes: ['orders:read', 'orders:write', 'stock:read', 'openid', 'legacy'],
  }),
)
await store.clients.insert(client({ id: 'once', grants: ['password'] }))

const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().error]
const scopesOf = (token: string) => String(claimsOf(token).scope).split(' ').sort()
const bare = (form: Form, headers = {}) => post(server, '/oauth2/token', form, headers)

const { refresh_token: genuine } = await signedIn(server)
const [stored] = await server.store.dataKeys.list()
if (!stored) throw new Error('there is no data key')
const dataKey = decryptDataKey(server.deps.keys.masterKeys, stored)
const [, , clientSessionId = '', , mac = ''] = genuine.split('.')

const letters = (length: number) => randomBytes(length).toString('base64url').slice(0, length)
const stranger = createRefreshTokenCodec(dataKeysOf(randomBytes(32)))

/** Makes one forged token of each kind, most of them close to a genuine one. */
const shapes: Record<string, () => string> = {
  'random text': () => letters(43),
  'one letter': () => 'x',
  'our shape, random session and MAC': () => `ktr.1.${letters(27)}.1.${letters(43)}`,
  'a real session, random MAC': () => `ktr.1.${clientSessionId}.1.${letters(43)}`,
  'a real session, another data key': () => stranger.write({ clientSessionId, generation: 1 }),
  'a real MAC, another generation': () =>
    `ktr.1.${clientSessionId}.${1 + Math.ceil(Math.random() * 1e9)}.${mac}`,
  'a real MAC, another session': () => `ktr.1.${letters(27)}.1.${mac}`,
  'a MAC under the master key itself': () =>
    `ktr.1.${clientSessionId}.1.${createHmac('sha256', masterKey).update(`1.${clientSessionId}.1`).digest('base64url')}`,
  'a MAC under what the master key itself would give': () => {
    const key = deriveKey(masterKey, 'keyturn/refresh-tokens/v1')
    return `ktr.1.${clientSessionId}.1.${createHmac('sha256', key).update(`1.${clientSessionId}.1`).digest('base64url')}`
  },
  'a MAC under the data key itself': () =>
    `ktr.1.${clientSessionId}.1.${createHmac('sha256', dataKey).update(`1.${clientSessionId}.1`).digest('base64url')}`,
  'a MAC under the key of another purpose': () => {
    const key = deriveKey(dataKey, 'keyturn/rate-limits/v1')
    return `ktr.1.${clientSessionId}.1.${createHmac('sha256', key).update(`1.${clientSessionId}.1`).digest('base64url')}`
  },
  'a real token, another data key id': () =>
    genuine.replace('ktr.1.', `ktr.${2 + Math.floor(Math.random() * 1e8)}.`),
  'one bit flipped': () => {
    const at = Math.floor(Math.random() * genuine.length)
    const letter = genuine[at] === 'A' ? 'B' : 'A'
    return genuine.slice(0, at) + letter + genuine.slice(at + 1)
  },
  'cut short': () => genuine.slice(0, Math.floor(Math.random() * (genuine.length - 1)) + 1),
  'something after it': () => genuine + letters(1 + Math.floor(Math.random() * 20)),
  'white space around it': () => ` ${genuine}\n`,
  'another prefix': () => genuine.replace('ktr', letters(3)),
  'zero and leading zeros': () => `ktr.1.${clientSessionId}.0${Math.ceil(Math.random() * 9)}.${mac}`,
  'a negative generation': () => `ktr.1.${clientSessionId}.-1.${mac}`,
  'a huge generation': () => `ktr.1.${clientSessionId}.99999999999.${mac}`,
  'a JWT': () => `${letters(40)}.${letters(200)}.${letters(342)}`,
  SQL: () => `' OR 1=1 -- ${letters(5)}`,
  'another spelling of the same MAC': () => {
    // The last of 43 characters has two spare bits: three other characters decode to the same bytes.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet.indexOf(genuine.at(-1) ?? 'A')
    return genuine.slice(0, -1) + alphabet[last ^ 1]
  },
}

const form = (token: string, more: Form = {}): Form => ({
  grant_type: 'refresh_token',
  refresh_token: token,
  ...more,
})

t.test(
  'another client’s refresh token is refused, and its owner’s session continues (RFC 6749 §10.4; docs/security.md F65)',
  async (t) => {
    const owner = await signedIn(server)
    const publicOwner = await signedIn(server, {}, 'phone')
    t.same(outcome(await refresh(server, owner.refresh_token, {}, 'other')), [400, 'invalid_grant'])
    t.same(outcome(await refresh(server, publicOwner.refresh_token, {}, 'other')), [400, 'invalid_grant'])
    t.same(
      outcome(
        await bare({ grant_type: 'refresh_token', refresh_token: owner.refresh_token, client_id: 'tablet' }),
      ),
      [400, 'invalid_grant'],
      'a public client',
    )
    t.same(server.logger.audits('token.reuse_detected'), [])
    await refreshed(server, publicOwner.refresh_token, {}, 'phone')
    const next = await refreshed(server, owner.refresh_token)
    t.ok(await isActive(server, next.access_token))
  },
)

t.test(
  'another client cannot end a session by replaying an old token of it (RFC 6749 §6, RFC 9700 §4.14.2; docs/security.md F65, F68)',
  async (t) => {
    const first = await signedIn(server)
    const second = await refreshed(server, first.refresh_token)
    server.clock.tick(60)
    t.same(outcome(await refresh(server, first.refresh_token, {}, 'other')), [400, 'invalid_grant'])
    t.ok(await isActive(server, second.refresh_token))
    t.same(server.logger.audits('token.reuse_detected'), [])
  },
)

t.test(
  'a confidential client must authenticate, and a failed attempt consumes nothing (RFC 6749 §6; docs/security.md F65, P31)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    const form = { grant_type: 'refresh_token', refresh_token: token }
    for (const [answer, label] of [
      [await bare(form), 'no client at all'],
      [await bare({ ...form, client_id: 'app' }), 'only its name'],
      [await bare(form, { authorization: basic('app', 'wrong') }), 'a wrong secret'],
      [await bare({ ...form, client_id: 'app', client_secret: 'wrong' }), 'in the body'],
    ] as const) {
      t.same(outcome(answer), [401, 'invalid_client'], label)
    }
    const successor = await refreshed(server, token)
    t.equal((await store.clientSessions.find(String(claimsOf(successor.access_token).sid)))?.generation, 2)
  },
)

t.test(
  'a client without the refresh_token grant gets no refresh tokens and cannot use them (RFC 6749 §5.2; docs/security.md E55)',
  async (t) => {
    const answer = await signedIn(server, {}, 'once')
    t.equal(answer.refresh_token, undefined)
    const { refresh_token: token } = await signedIn(server)
    t.same(outcome(await refresh(server, token, {}, 'once')), [400, 'unauthorized_client'])
    t.ok(await isActive(server, token))
  },
)

t.test(
  'scope can be narrowed for one access token, and the next refresh has the full scope again (RFC 6749 §6; docs/security.md F66)',
  async (t) => {
    const first = await signedIn(server)
    t.same(scopesOf(first.access_token), ['orders:read', 'orders:write'])
    const narrow = await refreshed(server, first.refresh_token, { scope: 'orders:read' })
    t.equal(narrow.scope, 'orders:read')
    t.same(scopesOf(narrow.access_token), ['orders:read'])
    const full = await refreshed(server, narrow.refresh_token)
    t.same(scopesOf(full.access_token), ['orders:read', 'orders:write'])
  },
)

t.test(
  'a retry that requests another scope gets the same successor (RFC 6749 §6, RFC 9700 §4.14.2; docs/security.md F66, F69)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    const full = await refreshed(server, token)
    const narrow = await refreshed(server, token, { scope: 'orders:write' })
    t.equal(narrow.refresh_token, full.refresh_token)
    t.same(scopesOf(narrow.access_token), ['orders:write'])
  },
)

t.test(
  'a scope beyond the original grant is invalid_scope and consumes nothing (RFC 6749 §6; docs/security.md F66)',
  async (t) => {
    const first = await signedIn(server, { scope: 'orders:read' })
    for (const scope of [
      'orders:read orders:write',
      'orders:write',
      'stock:read',
      'unheard',
      'orders:read  x',
    ]) {
      t.same(outcome(await refresh(server, first.refresh_token, { scope })), [400, 'invalid_scope'], scope)
    }
    // Only the client gained a scope, and only through a new role: what was not granted then is not granted now.
    const next = await refreshed(server, first.refresh_token)
    t.same(scopesOf(next.access_token), ['orders:read'])
  },
)

t.test(
  'scopes that client or user gained since the sign-in require a new sign-in (RFC 6749 §6, RFC 9700 §4.14.2; docs/security.md F66, F71)',
  async (t) => {
    const first = await signedIn(server, { username: 'bob', scope: 'orders:read' }, 'shop')
    const next = await refreshed(server, first.refresh_token, {}, 'shop')
    t.same(scopesOf(next.access_token), ['orders:read'])
  },
)

t.test(
  'resource at a refresh must be the original one, or the response is invalid_target (RFC 8707 §2.2; docs/security.md F71)',
  async (t) => {
    const first = await signedIn(server, { username: 'bob', resource: ORDERS }, 'shop')
    t.equal(claimsOf(first.access_token).aud, ORDERS)
    for (const resource of [
      STOCK,
      'https://unheard.test',
      ISSUER,
      `${ORDERS}//`,
      'relative',
      `${ORDERS}#f`,
    ]) {
      const answer = await refresh(server, first.refresh_token, { resource }, 'shop')
      t.same(outcome(answer), [400, 'invalid_target'], resource)
    }
    const both = await refresh(server, first.refresh_token, { resource: [ORDERS, STOCK] }, 'shop')
    t.same(outcome(both), [400, 'invalid_target'], 'a second resource beside it')
    const same = await refreshed(server, first.refresh_token, { resource: ORDERS }, 'shop')
    t.equal(claimsOf(same.access_token).aud, ORDERS)
    const silent = await refreshed(server, same.refresh_token, {}, 'shop')
    t.equal(claimsOf(silent.access_token).aud, ORDERS, 'and without being named again')
    t.notOk(scopesOf(silent.access_token).includes('stock:read'), 'no scope of another API is added')
  },
)

t.test(
  'a session without a resource keeps the default audience (RFC 9700 §4.14.2; docs/security.md F71)',
  async (t) => {
    const first = await signedIn(server, { username: 'bob', scope: 'openid' }, 'shop')
    t.equal(claimsOf(first.access_token).aud, ISSUER)
    const next = await refreshed(server, first.refresh_token, {}, 'shop')
    t.equal(claimsOf(next.access_token).aud, ISSUER)
    t.same(outcome(await refresh(server, next.refresh_token, { resource: ORDERS }, 'shop')), [
      400,
      'invalid_target',
    ])
  },
)

t.test(
  'a missing, empty or repeated refresh_token is invalid_request (RFC 6749 §6; docs/security.md A3, A4)',
  async (t) => {
    const headers = { authorization: basic('app') }
    t.same(outcome(await bare({ grant_type: 'refresh_token' }, headers)), [400, 'invalid_request'])
    t.same(outcome(await bare({ grant_type: 'refresh_token', refresh_token: '' }, headers)), [
      400,
      'invalid_request',
    ])
    const { refresh_token: token } = await signedIn(server)
    const twice = await bare({ grant_type: 'refresh_token', refresh_token: [token, token] }, headers)
    t.same(outcome(twice), [400, 'invalid_request'])
    t.ok(await isActive(server, token))
  },
)

t.test('every kind of forged refresh token is invalid_grant and causes no database query', async (t) => {
  await refreshed(server, genuine)
  const queries = countQueries(server.store)
  for (const [shape, make] of Object.entries(shapes)) {
    for (const [who, more, headers] of [
      ['a known client', {}, { authorization: basic('app') }],
      ['a public client', { client_id: 'phone' }, {}],
      ['an unknown client', { client_id: letters(8) }, {}],
      ['a wrong secret', {}, { authorization: basic('app', 'wrong') }],
      ['nobody', {}, {}],
    ] as const) {
      const answer = await post(server, '/oauth2/token', form(make(), more), headers)
      t.match([answer.statusCode, answer.json().error], [400, 'invalid_grant'], `${shape}, ${who}`)
    }
  }
  t.equal(queries.count(), 0)

  await refreshed(server, genuine)
  t.not(queries.count(), 0, 'a genuine token is counted')
})

t.test('twenty thousand forged refresh tokens cause no database query', async (t) => {
  const queries = countQueries(server.store)
  const forgers = Object.values(shapes)
  const clients = ['app', 'phone', 'unheard', 'machine']
  const statuses = new Map<number, number>()
  for (let n = 0; n < 20_000; ) {
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => {
        const make = forgers[n % forgers.length] ?? (() => '')
        const as = clients[n % clients.length] ?? ''
        n += 1
        return server.inject({
          method: 'POST',
          url: '/oauth2/token',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          payload: encodeForm(form(make(), { client_id: as })),
        })
      }),
    )
    for (const { statusCode } of answers) statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
    server.logger.lines.length = 0
  }
  t.same([...statuses], [[400, 20_000]])
  t.equal(queries.count(), 0)
})

t.test(
  'a forged refresh token causes no password hashing and consumes no client assertion (RFC 7523 §3; docs/security.md B23)',
  async (t) => {
    const key = randomBytes(32).toString('base64url')
    await server.store.clients.insert(
      client({ id: 'chosen', secretHash: await hashPassword(key), grants: ['refresh_token'] }),
    )
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256', kid: 'k' }] as never }
    await server.store.clients.insert(
      client({
        id: 'signs',
        authMethod: 'private_key_jwt',
        jwks,
        grants: ['refresh_token', 'client_credentials'],
      }),
    )
    const now = server.clock.now()
    const assertion = await new SignJWT({ jti: 'only-once' })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .setIssuer('signs')
      .setSubject('signs')
      .setAudience(ISSUER)
      .setIssuedAt(now)
      .setExpirationTime(now + 60)
      .sign(privateKey)
    const proof = {
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }

    const queries = countQueries(server.store)
    t.equal((await post(server, '/oauth2/token', form('x', proof))).statusCode, 400)
    const chosen = { authorization: basic('chosen', key) }
    t.equal((await post(server, '/oauth2/token', form('x'), chosen)).statusCode, 400)
    t.equal(queries.count(), 0)

    const good = await post(server, '/oauth2/token', { grant_type: 'client_credentials', ...proof })
    t.equal(good.statusCode, 200, good.body)
  },
)

t.test(
  'a node that has not loaded the client yet still answers invalid_grant for a foreign token (RFC 6749 §5.2)',
  async (t) => {
    const fresh = await testServer()
    t.teardown(() => fresh.close())
    await seed(fresh.store)
    // invalid_client would tell an app that it is misconfigured, instead of letting the user sign in again.
    const answer = await refresh(fresh, genuine)
    t.match([answer.statusCode, answer.json().error], [400, 'invalid_grant'])
  },
)

t.test(
  'a genuine token of a deleted session causes one read and no write (docs/security.md Q20)',
  async (t) => {
    const first = await signedIn(server)
    const sid = String(claimsOf(first.access_token).sid)
    await server.store.db.batch([{ sql: 'DELETE FROM client_sessions WHERE id = $1', params: [sid] }])
    const before = server.store.db.batch
    let writes = 0
    server.store.db.batch = (steps) => {
      writes += 1
      return before(steps)
    }
    t.teardown(() => Object.assign(server.store.db, { batch: before }))
    const answer = await refresh(server, first.refresh_token)
    t.match([answer.statusCode, answer.json().error], [400, 'invalid_grant'])
    t.equal(writes, 0)
  },
)
