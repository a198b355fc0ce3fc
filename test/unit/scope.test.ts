import t from 'tap'
import { accessTokenTtl } from '../../src/oauth/lifetimes.ts'
import { openRegistry } from '../../src/oauth/registry.ts'
import { parseResource } from '../../src/oauth/resource.ts'
import { parseScope, resolveScopes, type ScopeRequest } from '../../src/oauth/scope.ts'
import { isSameResource, resourceKey } from '../../src/resource-uri.ts'
import { openStore } from '../support/server/keys.ts'
import { client, ORDERS, STOCK, seed } from '../support/server/seed.ts'

const DEFAULT = 'https://default.test'

const store = await openStore()
t.teardown(() => store.db.close())
await seed(store)
await store.apis.update(STOCK, (one) => ({ ...one, accessTokenTtl: 60 }))
await store.roles.insert({
  name: 'reader',
  scopes: ['orders:read'],
  requireSecondFactor: false,
  createdAt: 1,
})
await store.roles.insert({
  name: 'buyer',
  scopes: ['stock:read', 'plain'],
  requireSecondFactor: false,
  createdAt: 1,
})
const registry = await openRegistry({ store })

const everything = client({ scopes: ['orders:read', 'orders:write', 'stock:read', 'plain', 'openid'] })

function grant(request: Partial<ScopeRequest>) {
  const whole = { requested: undefined, resource: undefined, client: everything, roles: null, ...request }
  const { scopes, audience, apiTtl } = resolveScopes(whole, registry, DEFAULT)
  return [scopes.join(' '), audience, apiTtl] as const
}

t.test('a scope is a list of tokens separated by spaces, each counted once (RFC 6749 §3.3)', async (t) => {
  t.same(parseScope('a b:c https://x.test/y'), ['a', 'b:c', 'https://x.test/y'])
  t.same(parseScope('b a b'), ['b', 'a'])
  t.same(parseScope('!#[]~'), ['!#[]~'])
  for (const spaced of ['a  b', ' a b', 'a b ', '   a   b   a '])
    t.same(parseScope(spaced), ['a', 'b'], spaced)
  t.equal(parseScope(undefined), undefined, 'an omitted scope is not an empty one')
  for (const bad of ['', ' ', '  ', 'a\tb', 'a \t b', 'a\nb', 'a"b', 'a\\b', 'é', 'a\0', 'a\u00a0b']) {
    t.throws(() => parseScope(bad), { code: 'invalid_scope', status: 400 }, JSON.stringify(bad))
  }
})

t.test('a resource is one absolute URI without a fragment (RFC 8707 §2)', async (t) => {
  t.equal(parseResource([]), undefined)
  t.equal(parseResource([ORDERS]), ORDERS)
  t.equal(parseResource([ORDERS, ORDERS]), ORDERS, 'a repeated scope counts once')
  t.equal(parseResource([ORDERS, `${ORDERS}/`]), ORDERS, 'two names of one API are one resource')
  t.equal(parseResource(['urn:example:orders']), 'urn:example:orders')
  for (const bad of [
    [ORDERS, STOCK],
    ['/orders'],
    ['orders'],
    [`${ORDERS}#x`],
    [`${ORDERS}#`],
    ['https://'],
    [ORDERS, `${ORDERS}//`],
  ]) {
    t.throws(() => parseResource(bad), { code: 'invalid_target', status: 400 }, bad.join(' '))
  }
})

t.test(
  'behind an authority an empty path is "/", and every other difference counts (RFC 3986 §6.2.3, RFC 7519 §4.1.3)',
  async (t) => {
    for (const [a, b] of [
      ['https://x.test', 'https://x.test/'],
      ['http://x.test:8080', 'http://x.test:8080/'],
      ['https://[::1]', 'https://[::1]/'],
      ['https://x.test?a=1', 'https://x.test/?a=1'],
      ['custom+1://x', 'custom+1://x/'],
    ] as const) {
      t.equal(resourceKey(a), b)
      t.equal(resourceKey(b), b)
      t.ok(isSameResource(a, b) && isSameResource(b, a), a)
    }
    for (const [a, b] of [
      ['https://x.test/', 'https://x.test//'],
      ['https://x.test/a', 'https://x.test/a/'],
      ['https://x.test', 'https://X.test/'],
      ['https://x.test', 'HTTPS://x.test/'],
      ['https://x.test', 'https://x.test:443/'],
      ['https://x.test', 'http://x.test/'],
      ['https://x.test', 'https://x.test/.'],
      ['https://x.test', 'https://x.test/?'],
      ['https://x.test', 'https://x.test./'],
      ['urn:x', 'urn:x/'],
      ['x.test', 'x.test/'],
      ['https:/x', 'https:/x/'],
      ['', '/'],
    ] as const) {
      t.notOk(isSameResource(a, b), `${a} and ${b}`)
    }
  },
)

/** Requested, resource, the client’s, roles → granted scope, audience, the API’s own lifetime. */
const GRANTED: readonly (readonly [
  string,
  Partial<ScopeRequest>,
  readonly [string, string, number | null],
])[] = [
  ['all requested scopes', { requested: ['orders:read'] }, ['orders:read', ORDERS, null]],
  [
    'in the requested order',
    { requested: ['orders:write', 'orders:read'] },
    ['orders:write orders:read', ORDERS, null],
  ],
  [
    'without those that cannot be granted',
    { requested: ['orders:read', 'unknown'] },
    ['orders:read', ORDERS, null],
  ],
  [
    'nothing requested: all of the client’s',
    { client: client() },
    ['orders:read orders:write', ORDERS, null],
  ],
  ['of the API that is named', { resource: STOCK }, ['stock:read openid', STOCK, 60]],
  ['the API’s lifetime', { requested: ['stock:read'] }, ['stock:read', STOCK, 60]],
  ['a scope of no API', { requested: ['plain'] }, ['plain', DEFAULT, null]],
  ['with one of an API', { requested: ['plain', 'orders:read'] }, ['orders:read', ORDERS, null]],
  ['the default audience named', { resource: DEFAULT, requested: ['plain'] }, ['plain', DEFAULT, null]],
  ['a client without scopes', { client: client({ scopes: [] }) }, ['', DEFAULT, null]],
  [
    'what a role grants',
    { requested: ['orders:read', 'orders:write'], roles: ['reader'] },
    ['orders:read', ORDERS, null],
  ],
  [
    'two roles together',
    { resource: ORDERS, roles: ['reader', 'clerk'] },
    ['orders:read orders:write openid', ORDERS, null],
  ],
  ['protocol scopes need no role', { requested: ['openid'], roles: [] }, ['openid', DEFAULT, null]],
  ['an unknown role grants nothing', { client: client(), roles: ['unknown'] }, ['', DEFAULT, null]],
]

t.test(
  'the granted scope is the intersection of the requested, the client’s and the roles’ scopes, for one API (docs/security.md S1)',
  async (t) => {
    for (const [name, request, expected] of GRANTED) t.same(grant(request), expected, name)
  },
)

const REFUSED: readonly (readonly [string, Partial<ScopeRequest>, string])[] = [
  ['nothing is left', { requested: ['unknown'] }, 'invalid_scope'],
  ['not the client’s', { requested: ['stock:read'], client: client() }, 'invalid_scope'],
  ['no role grants it', { requested: ['orders:write'], roles: ['reader'] }, 'invalid_scope'],
  ['two APIs', { requested: ['orders:read', 'stock:read'] }, 'invalid_scope'],
  ['two APIs, no scope requested', {}, 'invalid_scope'],
  ['of another API than named', { requested: ['stock:read'], resource: ORDERS }, 'invalid_scope'],
  [
    'an API’s scope at the default audience',
    { requested: ['orders:read'], resource: DEFAULT },
    'invalid_scope',
  ],
  ['an unknown resource', { resource: 'https://unknown.test' }, 'invalid_target'],
  ['an API of which the client has no scope', { resource: STOCK, client: client() }, 'invalid_target'],
]

t.test('a scope that cannot be granted is refused, not silently replaced', async (t) => {
  for (const [name, request, code] of REFUSED) t.throws(() => grant(request), { code }, name)
})

t.test('scopes of two APIs are accepted when the roles leave only those of one', async (t) => {
  t.same(grant({ requested: ['orders:read', 'stock:read'], roles: ['buyer'] }), ['stock:read', STOCK, 60])
})

t.test('a token’s lifetime is the shorter of the client’s and the API’s, or else the default', async (t) => {
  const cases: readonly (readonly [number | null, number | null, number])[] = [
    [null, null, 600],
    [120, null, 120],
    [null, 60, 60],
    [120, 60, 60],
    [30, 60, 30],
    [7200, null, 7200],
    [null, 7200, 7200],
  ]
  for (const [own, api, expected] of cases) {
    t.equal(accessTokenTtl(client({ accessTokenTtl: own }), api, 600), expected, `${own} ${api}`)
  }
})
