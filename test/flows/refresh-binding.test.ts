import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { basic, claimsOf, type Form, post, refresh } from '../support/server/requests.ts'
import { client, ORDERS, STOCK, seed, user } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'
import { active, refreshed, signedIn } from '../support/server/tokens.ts'

const server = await testServer()
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

t.test(
  'the token of another client is refused, and its owner’s session lives on (F65, RFC 6749 §10.4)',
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
    t.ok(await active(server, next.access_token))
  },
)

t.test('another client cannot end a session with an old token of it (F65, F68)', async (t) => {
  const first = await signedIn(server)
  const second = await refreshed(server, first.refresh_token)
  server.clock.tick(60)
  t.same(outcome(await refresh(server, first.refresh_token, {}, 'other')), [400, 'invalid_grant'])
  t.ok(await active(server, second.refresh_token))
  t.same(server.logger.audits('token.reuse_detected'), [])
})

t.test(
  'a confidential client must authenticate, and nothing is used up if it does not (F65, §3.4 #31)',
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
    t.equal((await store.sessions.find(String(claimsOf(successor.access_token).sid)))?.generation, 2)
  },
)

t.test(
  'a client that is not registered for refreshing neither gets such tokens nor may use them (E55)',
  async (t) => {
    const answer = await signedIn(server, {}, 'once')
    t.equal(answer.refresh_token, undefined)
    const { refresh_token: token } = await signedIn(server)
    t.same(outcome(await refresh(server, token, {}, 'once')), [400, 'unauthorized_client'])
    t.ok(await active(server, token))
  },
)

t.test(
  'scope may be narrowed for one access token, and the next has the original again (F66, RFC 6749 §6)',
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

t.test('a retry that asks for another scope gets the same successor (F66, F69)', async (t) => {
  const { refresh_token: token } = await signedIn(server)
  const full = await refreshed(server, token)
  const narrow = await refreshed(server, token, { scope: 'orders:write' })
  t.equal(narrow.refresh_token, full.refresh_token)
  t.same(scopesOf(narrow.access_token), ['orders:write'])
})

t.test('scope beyond what was granted at sign-in is invalid_scope and uses nothing up (F66)', async (t) => {
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
  // Only at the client, and only with the role: what was not granted then is not granted now.
  const next = await refreshed(server, first.refresh_token)
  t.same(scopesOf(next.access_token), ['orders:read'])
})

t.test(
  'scopes that client and user gained since the sign-in come with the next sign-in (F66, F71)',
  async (t) => {
    const first = await signedIn(server, { username: 'bob', scope: 'orders:read' }, 'shop')
    const next = await refreshed(server, first.refresh_token, {}, 'shop')
    t.same(scopesOf(next.access_token), ['orders:read'])
  },
)

t.test(
  'resource at a refresh: the one of the grant or invalid_target (F71, §3.5 #47, RFC 8707 §2.2)',
  async (t) => {
    const first = await signedIn(server, { username: 'bob', resource: ORDERS }, 'shop')
    t.equal(claimsOf(first.access_token).aud, ORDERS)
    for (const resource of [STOCK, 'https://unheard.test', ISSUER, `${ORDERS}/`, 'relative', `${ORDERS}#f`]) {
      const answer = await refresh(server, first.refresh_token, { resource }, 'shop')
      t.same(outcome(answer), [400, 'invalid_target'], resource)
    }
    const both = await refresh(server, first.refresh_token, { resource: [ORDERS, STOCK] }, 'shop')
    t.same(outcome(both), [400, 'invalid_target'], 'one more beside it')
    const same = await refreshed(server, first.refresh_token, { resource: ORDERS }, 'shop')
    t.equal(claimsOf(same.access_token).aud, ORDERS)
    const silent = await refreshed(server, same.refresh_token, {}, 'shop')
    t.equal(claimsOf(silent.access_token).aud, ORDERS, 'and without being named again')
    t.notOk(scopesOf(silent.access_token).includes('stock:read'), 'no scope of another API comes along')
  },
)

t.test('a sign-in for no API in particular stays with the default audience (F71)', async (t) => {
  const first = await signedIn(server, { username: 'bob', scope: 'openid' }, 'shop')
  t.equal(claimsOf(first.access_token).aud, ISSUER)
  const next = await refreshed(server, first.refresh_token, {}, 'shop')
  t.equal(claimsOf(next.access_token).aud, ISSUER)
  t.same(outcome(await refresh(server, next.refresh_token, { resource: ORDERS }, 'shop')), [
    400,
    'invalid_target',
  ])
})

t.test('a missing, empty or repeated refresh_token is invalid_request (A3, A4, RFC 6749 §6)', async (t) => {
  const headers = { authorization: basic('app') }
  t.same(outcome(await bare({ grant_type: 'refresh_token' }, headers)), [400, 'invalid_request'])
  t.same(outcome(await bare({ grant_type: 'refresh_token', refresh_token: '' }, headers)), [
    400,
    'invalid_request',
  ])
  const { refresh_token: token } = await signedIn(server)
  const twice = await bare({ grant_type: 'refresh_token', refresh_token: [token, token] }, headers)
  t.same(outcome(twice), [400, 'invalid_request'])
  t.ok(await active(server, token))
})
