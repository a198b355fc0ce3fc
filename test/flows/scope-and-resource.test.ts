import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { writesNothing } from '../support/server/database-dump.ts'
import { refused } from '../support/server/error-responses.ts'
import { claimsOf, clientCredentials, type Form, login, refresh } from '../support/server/requests.ts'
import { api, client, ORDERS, STOCK, seed, user } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
const { store } = server
await seed(store)
await store.apis.insert(api({ identifier: 'urn:example:mail', scopes: ['mail:send'] }))
await store.clients.insert(
  client({ id: 'broker', scopes: ['orders:read', 'stock:read', 'openid', 'internal', 'gone:read'] }),
)
await store.roles.insert({
  name: 'keeper',
  scopes: ['stock:read', 'orders:read'],
  requireSecondFactor: false,
  createdAt: 1,
})
await store.users.insert(await user({ username: 'bob', roles: ['clerk', 'keeper'] }))
await store.users.insert(await user({ username: 'nobody', roles: [] }))
await store.clients.insert(
  client({ id: 'shop', grants: ['password'], scopes: ['orders:read', 'stock:read', 'openid', 'profile'] }),
)

function granted(
  t: Test,
  answer: LightMyRequestResponse,
  scope: string | undefined,
  aud: string,
  label = '',
) {
  t.equal(answer.statusCode, 200, label)
  const { access_token: token, scope: responseScope } = answer.json()
  const claims = claimsOf(token)
  t.strictSame(
    { responseScope, scope: claims.scope, aud: claims.aud },
    { responseScope: scope, scope, aud },
    label,
  )
}

const notGranted = async (t: Test, table: Record<string, [Form, string]>, as = 'machine') =>
  writesNothing(t, server, async () => {
    for (const [label, [form, error]] of Object.entries(table)) {
      refused(t, await clientCredentials(server, form, as), { error }, label)
    }
  })

t.test('requested scopes are granted as far as the client is registered for them', async (t) => {
  const requests: Record<string, string> = {
    'orders:read': 'orders:read',
    'orders:write': 'orders:write',
    'orders:write orders:read': 'orders:write orders:read',
    'orders:read orders:read': 'orders:read',
  }
  for (const [scope, expected] of Object.entries(requests)) {
    granted(t, await clientCredentials(server, { scope }), expected, ORDERS, scope)
  }
  granted(t, await clientCredentials(server), 'orders:read orders:write', ORDERS, 'no scope parameter')
})

t.test(
  'scopes that cannot be granted are dropped if others remain, and the response lists those granted (RFC 6749 §3.3; docs/security.md A11, C45)',
  async (t) => {
    for (const extra of ['zz', 'stock:read', 'mail:send', 'openid', 'ORDERS:READ', 'orders:*', '*']) {
      const answer = await clientCredentials(server, { scope: `orders:read ${extra}` })
      granted(t, answer, 'orders:read', ORDERS, extra)
    }
  },
)

t.test(
  'if no requested scope can be granted the response is invalid_scope (RFC 6749 §4.4.3, §5.2; docs/security.md E61)',
  async (t) => {
    await notGranted(
      t,
      Object.fromEntries(
        ['zz', 'stock:read', 'zz stock:read', 'orders', 'ORDERS:READ', 'orders:*', '*'].map((scope) => [
          scope,
          [{ scope }, 'invalid_scope'],
        ]),
      ),
    )
  },
)

t.test('runs of spaces in a scope, and spaces at its ends, are tolerated (RFC 6749 §3.3)', async (t) => {
  for (const scope of [' orders:read', 'orders:read ', 'orders:read   ', '  orders:read  orders:read ']) {
    granted(t, await clientCredentials(server, { scope }), 'orders:read', ORDERS, scope)
  }
  const { refresh_token: token } = (await login(server)).json()
  const narrowed = await refresh(server, token, { scope: ' orders:read  ' })
  t.match(narrowed.json(), { scope: 'orders:read' })
})

t.test('a malformed scope is invalid_scope, whatever else it contains (RFC 6749 §3.3)', async (t) => {
  const malformed = [' ', '   ', 'orders:read\torders:write']
  malformed.push(
    'orders:read,orders:write\\',
    'orders:read "',
    'orders:réad',
    'orders:read \u007f',
    '\n',
    '[]"',
  )
  await notGranted(
    t,
    Object.fromEntries(malformed.map((scope) => [encodeURIComponent(scope), [{ scope }, 'invalid_scope']])),
  )
})

t.test('scopes of two APIs require a resource parameter (RFC 9068 §3; docs/security.md H88)', async (t) => {
  const both = 'orders:read stock:read'
  await notGranted(
    t,
    { both: [{ scope: both }, 'invalid_scope'], 'all scopes of the client': [{}, 'invalid_scope'] },
    'broker',
  )
  const from = (resource: string, scope = both) => clientCredentials(server, { scope, resource }, 'broker')
  granted(t, await from(ORDERS), 'orders:read', ORDERS)
  granted(t, await from(STOCK), 'stock:read', STOCK)
  granted(t, await from(ISSUER, `${both} internal`), 'internal', ISSUER, 'a scope that no API owns')
  granted(
    t,
    await from(STOCK, 'openid stock:read'),
    'openid stock:read',
    STOCK,
    'a protocol scope belongs to every API',
  )
  const all = await clientCredentials(server, { resource: STOCK }, 'broker')
  granted(t, all, 'stock:read openid', STOCK, 'all its scopes there')
})

t.test('a resource that is no API of this client is invalid_target (RFC 8707 §2)', async (t) => {
  const wrong = [
    'https://unknown.test',
    STOCK,
    'urn:example:mail',
    `${ORDERS}//`,
    `${ORDERS}/x`,
    `${ORDERS}:443/`,
    `${ORDERS}/.`,
    `${ORDERS}?x=1`,
    ORDERS.toUpperCase(),
    ORDERS.replace('https:', 'http:'),
    ` ${ORDERS}`,
    `${ORDERS} `,
    `${ORDERS}#`,
    `${ORDERS}#a`,
    'orders.test',
    '/orders',
    '//orders.test',
    'orders',
    '#',
    'https://',
    'https:',
    '%',
    'javascript:alert(1)',
  ]
  await notGranted(
    t,
    Object.fromEntries(wrong.map((resource) => [resource, [{ resource }, 'invalid_target']])),
  )
  await notGranted(t, {
    'two that are known': [{ resource: [ORDERS, ISSUER] }, 'invalid_target'],
    'one that is not': [{ resource: [ORDERS, 'https://unknown.test'] }, 'invalid_target'],
    'scopes of another': [{ resource: ORDERS, scope: 'stock:read' }, 'invalid_scope'],
  })
  granted(t, await clientCredentials(server, { resource: ['', ORDERS] }), 'orders:read orders:write', ORDERS)
})

t.test(
  'resource names an API by its identifier with or without the slash of an empty path, and aud is the identifier (RFC 3986 §6.2.3, RFC 8707 §2)',
  async (t) => {
    const slashed = 'https://slashed.test/'
    await store.apis.insert(api({ identifier: slashed, scopes: ['slashed:read'] }))
    await store.clients.insert(client({ id: 'slasher', scopes: ['slashed:read', 'internal'] }))
    for (const resource of [slashed, 'https://slashed.test']) {
      granted(t, await clientCredentials(server, { resource }, 'slasher'), 'slashed:read', slashed, resource)
    }
    for (const resource of [ORDERS, `${ORDERS}/`, [ORDERS, `${ORDERS}/`]]) {
      const answer = await clientCredentials(server, { resource })
      granted(t, answer, 'orders:read orders:write', ORDERS, String(resource))
    }
    const atIssuer = await clientCredentials(server, { resource: `${ISSUER}/` }, 'slasher')
    granted(t, atIssuer, 'internal', ISSUER, 'the default audience')
    const session = (await login(server, { resource: `${ORDERS}/` })).json()
    const refreshed = await refresh(server, session.refresh_token, { resource: `${ORDERS}/` })
    granted(t, refreshed, 'orders:read orders:write', ORDERS, 'a refresh')
  },
)

t.test('a user gets the requested scopes that both the client and a role allow', async (t) => {
  const sign = (username: string, form: Form = {}) => login(server, { username, ...form }, 'shop')
  granted(t, await sign('alice'), 'orders:read openid profile', ORDERS, 'a clerk')
  granted(t, await sign('alice', { scope: 'orders:read stock:read' }), 'orders:read', ORDERS)
  granted(t, await sign('alice', { scope: 'openid' }), 'openid', ISSUER, 'this scope needs no role')
  granted(t, await sign('bob', { resource: STOCK }), 'stock:read openid profile', STOCK, 'also a keeper')
  granted(t, await sign('bob', { scope: 'stock:read' }), 'stock:read', STOCK)
  granted(t, await sign('nobody'), 'openid profile', ISSUER, 'no roles at all')
  for (const [username, scope] of [
    ['alice', 'stock:read'],
    ['alice', 'orders:write'],
    ['nobody', 'orders:read'],
    ['bob', 'orders:read stock:read'],
  ] as const) {
    refused(t, await sign(username, { scope }), { error: 'invalid_scope' }, `${username}: ${scope}`)
  }
})

t.test(
  'the roles claim lists the roles that grant one of the token’s scopes, and no other (RFC 9068 §2.2.3.1; docs/security.md S2)',
  async (t) => {
    const rolesOf = async (username: string, scope: string) =>
      claimsOf((await login(server, { username, scope }, 'shop')).json().access_token).roles
    t.same(await rolesOf('alice', 'openid orders:read'), ['clerk'])
    t.same(await rolesOf('bob', 'openid orders:read'), ['clerk', 'keeper'], 'both grant it')
    t.same(await rolesOf('bob', 'openid stock:read'), ['keeper'])
    t.same(await rolesOf('bob', 'openid'), [], 'no scope of an API, no roles')
    t.same(await rolesOf('nobody', 'openid'), [])
  },
)

t.test('a deleted API is no longer an audience', async (t) => {
  await store.apis.insert(api({ identifier: 'https://gone.test', scopes: ['gone:read'] }))
  await server.poll()
  const ask = (form: Form) => clientCredentials(server, form, 'broker')
  granted(t, await ask({ scope: 'gone:read' }), 'gone:read', 'https://gone.test')
  await store.apis.delete('https://gone.test')
  await server.poll()
  refused(t, await ask({ resource: 'https://gone.test' }), { error: 'invalid_target' })
  granted(t, await ask({ scope: 'gone:read' }), 'gone:read', ISSUER, 'a scope of no API')
})

t.test(
  'a scope that moves to another API changes the audience (RFC 9068 §3, §5; docs/security.md H88)',
  async (t) => {
    await store.apis.update(ORDERS, (one) => ({ ...one, scopes: ['orders:read'] }))
    await store.apis.update(STOCK, (one) => ({ ...one, scopes: ['stock:read', 'orders:write'] }))
    await server.poll()
    granted(t, await clientCredentials(server, { scope: 'orders:write' }), 'orders:write', STOCK)
    refused(t, await clientCredentials(server), { error: 'invalid_scope' }, 'now scopes of two APIs')
  },
)
