/** The administration API of clients and APIs. */
import { generateKeyPairSync } from 'node:crypto'
import type { RequestListener } from 'node:http'
import t, { type Test } from 'tap'
import { ADMIN_PATH, adminAudience, COMMAND_LINE_CLIENT } from '../../src/admin/built-ins.ts'
import { decodeNotes, MAX_NOTES_LENGTH, NOTES_HEADER } from '../../src/admin/wire.ts'
import { isGeneratedSecret } from '../../src/oauth/client-auth/secret.ts'
import { type Administrator, administrator } from '../support/server/administrator.ts'
import { freePort } from '../support/server/free-port.ts'
import { imageServer, pngImage } from '../support/server/image-server.ts'
import { countQueries } from '../support/server/query-count.ts'
import { basic, post } from '../support/server/requests.ts'
import { api, client, PASSWORD, user } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'

const ORDERS = 'https://orders.example/v1?a=b'
const ORDERS_PATH = `/apis/${encodeURIComponent(ORDERS)}`
const SHOP = {
  client_name: 'Shop',
  client_id: 'shop',
  grant_types: ['client_credentials'],
  scope: 'orders:read',
}
const problem = (name: string, ...fields: string[]) => ({
  type: `urn:keyturn:problem:${name}`,
  ...(fields.length > 0 ? { errors: fields.map((field) => ({ field })) } : {}),
})

async function administered(t: Test, scopes = ['admin:read', 'admin:clients']) {
  const server = await testServer()
  t.teardown(server.close)
  const robot = await administrator(server, 'robot', scopes)
  return { server, ...robot }
}

async function withOrders(t: Test) {
  const all = await administered(t)
  await all.send('POST', '/apis', { identifier: ORDERS, scopes: ['orders:read', 'orders:write'] })
  return all
}

const ask = (server: TestServer, secret: string) =>
  post(
    server,
    '/oauth2/token',
    { grant_type: 'client_credentials' },
    { authorization: basic('shop', secret) },
  )

const notesOf = ({ headers }: Awaited<ReturnType<Administrator['send']>>): string[] =>
  String(headers['keyturn-notes'] ?? '')
    .split(', ')
    .map(decodeURIComponent)

t.test(
  'a client is registered, read, changed and deleted, and its secret is in one answer alone',
  async (t) => {
    const { send, server } = await withOrders(t as Test)
    const created = await send('POST', '/clients', SHOP)
    t.equal(created.statusCode, 201)
    t.equal(created.headers.location, `${adminAudience(ISSUER)}/clients/shop`)
    const { client_secret: secret, client_secret_expires_at, ...client } = created.json()
    t.ok(isGeneratedSecret(secret))
    t.equal(client_secret_expires_at, 0, 'RFC 7591 §3.2.1')
    t.match(client, { ...SHOP, token_endpoint_auth_method: 'client_secret_basic', disabled: false })
    const read = await send('GET', '/clients/shop')
    t.same(read.json(), client)
    t.equal(read.headers.etag, created.headers.etag)
    await server.poll()
    t.equal((await ask(server, secret)).statusCode, 200)

    const changed = await send('PATCH', '/clients/shop', { client_name: ' The  shop ', access_token_ttl: 60 })
    t.match(changed.json(), { client_name: 'The shop', access_token_ttl: 60, scope: 'orders:read' })
    t.notOk('client_secret' in changed.json())
    t.not(changed.headers.etag, read.headers.etag)
    const late = await send(
      'PATCH',
      '/clients/shop',
      { scope: '' },
      { 'if-match': String(read.headers.etag) },
    )
    t.equal(late.statusCode, 412)
    t.same((await send('DELETE', '/clients/shop')).json(), { deleted: 'shop' })
    for (const [method, path] of [
      ['GET', '/clients/shop'],
      ['PATCH', '/clients/shop'],
      ['DELETE', '/clients/shop'],
      ['GET', '/clients/shop/secrets'],
      ['POST', '/clients/shop/disable'],
    ] as const)
      t.equal(
        (await send(method, path, method === 'PATCH' ? {} : undefined)).statusCode,
        404,
        `${method} ${path}`,
      )
    const events = server.logger
      .audits('client.changed')
      .map(({ actor, target, action }) => [actor, target, action])
    t.same(
      events,
      ['created', 'updated', 'deleted'].map((action) => ['client:robot', 'shop', action]),
    )
  },
)

t.test(
  'a change is a merge patch: null restores a default, and what is not given stays (RFC 7396)',
  async (t) => {
    const { send } = await withOrders(t as Test)
    const full = {
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://shop.example/cb'],
      post_logout_redirect_uris: ['https://shop.example/bye'],
      backchannel_logout_uri: 'https://shop.example/ended',
      first_party: true,
      roles_claim: 'groups',
      claims_in_id_token: false,
      access_token_ttl: 60,
      pkce: 'required',
      introspects: [ORDERS],
      policy_uri: 'https://shop.example/privacy',
    }
    t.match((await send('POST', '/clients', { ...SHOP, ...full })).json(), full)
    const reset = Object.fromEntries(
      [
        'post_logout_redirect_uris',
        'backchannel_logout_uri',
        'first_party',
        'roles_claim',
        'claims_in_id_token',
      ]
        .concat('access_token_ttl', 'pkce', 'introspects', 'policy_uri', 'scope')
        .map((name) => [name, null]),
    )
    const after = await send('PATCH', '/clients/shop', reset, {
      'content-type': 'application/merge-patch+json',
    })
    t.match(after.json(), {
      grant_types: full.grant_types,
      redirect_uris: full.redirect_uris,
      post_logout_redirect_uris: [],
      first_party: false,
      roles_claim: 'roles',
      claims_in_id_token: true,
      access_token_ttl: null,
      pkce: 'optional',
      introspects: [],
      scope: '',
    })
    for (const gone of ['backchannel_logout_uri', 'policy_uri']) t.notOk(gone in after.json(), gone)
    const notes = notesOf(after)
    t.ok(notes.includes('the client can no longer request the scopes orders:read'), notes.join('; '))
    const unchanged = await send('PATCH', '/clients/shop', {})
    t.equal(unchanged.headers.etag, after.headers.etag, 'an empty patch changes nothing')
    t.match(
      (await send('PATCH', '/clients/shop', { grant_types: null })).json(),
      problem('invalid-value', 'grant_types'),
    )
  },
)

t.test('what breaks a rule is refused with the name of the field, and changes nothing', async (t) => {
  const { send, server } = await withOrders(t as Test)
  const privateJwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  const bad: readonly [object, number, object][] = [
    [{ client_name: 'x\u202ey' }, 400, problem('invalid-value', 'client_name')],
    [{ client_id: 'u_someone' }, 400, problem('invalid-value', 'client_id')],
    [{ grant_types: ['implicit'] }, 400, problem('invalid-value', 'grant_types')],
    [{ grant_types: [] }, 400, problem('invalid-value', 'grant_types')],
    [{ redirect_uris: ['javascript:alert(1)'] }, 400, problem('invalid-value', 'redirect_uris')],
    [{ post_logout_redirect_uris: ['data:,x'] }, 400, problem('invalid-value', 'post_logout_redirect_uris')],
    [
      { backchannel_logout_uri: 'http://a.example/' },
      400,
      problem('invalid-value', 'backchannel_logout_uri'),
    ],
    [{ jwks_uri: 'http://a.example/k' }, 400, problem('invalid-value', 'jwks_uri')],
    [{ jwks: { keys: [privateJwk] } }, 400, problem('invalid-value', 'jwks')],
    [{ jwks: { keys: [] } }, 400, problem('invalid-value', 'jwks')],
    [{ token_endpoint_auth_method: 'private_key_jwt' }, 400, problem('invalid-value', 'jwks')],
    [{ logo_uri: 'http://127.0.0.1:1/logo.png' }, 400, problem('invalid-value', 'logo_uri')],
    [{ client_uri: 'https://a.example/\u0007' }, 400, problem('invalid-value', 'client_uri')],
    [{ tos_uri: 'javascript:alert(1)' }, 400, problem('invalid-value', 'tos_uri')],
    [{ access_token_ttl: 0 }, 400, problem('invalid-value', 'access_token_ttl')],
    [{ client_secret: 'short' }, 400, problem('invalid-value', 'client_secret')],
    [{ profile: 'fapi2' }, 400, problem('invalid-value', 'token_endpoint_auth_method')],
    [{ profile: 'fapi3' }, 400, problem('invalid-value', 'profile')],
    [
      { id_token_signed_response_alg: 'HS256' },
      400,
      problem('invalid-value', 'id_token_signed_response_alg'),
    ],
    [{ colour: 'red' }, 400, problem('invalid-value', 'colour')],
    [{ disabled: true }, 400, problem('invalid-value', 'disabled')],
    [{ scope: 'orders:raed' }, 400, problem('unowned-scope')],
    [{ introspects: ['https://none.example'] }, 409, problem('conflict', 'introspects')],
    [
      {
        token_endpoint_auth_method: 'none',
        grant_types: ['password'],
        client_secret: 'a secret of good length',
      },
      400,
      problem('invalid-value', 'client_secret'),
    ],
  ]
  for (const [change, status, expected] of bad) {
    const response = await send('POST', '/clients', { ...SHOP, ...change })
    t.equal(response.statusCode, status, JSON.stringify(change))
    t.match(response.json(), expected, JSON.stringify(change))
    t.notMatch(response.body, String(privateJwk.d))
  }
  t.equal(await server.store.clients.find('shop'), null)
  await send('POST', '/clients', SHOP)
  const before = await server.store.clients.find('shop')
  for (const [change, status, expected] of bad.filter(([change]) => !('client_id' in change))) {
    const response = await send('PATCH', '/clients/shop', change)
    t.equal(response.statusCode, status, `an update: ${JSON.stringify(change)}`)
    t.match(response.json(), expected)
  }
  t.same(await server.store.clients.find('shop'), before)
  t.equal((await send('POST', '/clients', SHOP)).statusCode, 409, 'the id is taken')
})

t.test('secrets are added with an overlap, listed and ended', async (t) => {
  const { send, server } = await withOrders(t as Test)
  const { client_secret: first } = (await send('POST', '/clients', SHOP)).json()
  const added = await send('POST', '/clients/shop/secrets', { overlap_seconds: 3600 })
  t.equal(added.statusCode, 201)
  const { secret_id, client_secret: second } = added.json()
  t.equal(added.headers.location, `${adminAudience(ISSUER)}/clients/shop/secrets/${secret_id}`)
  t.ok(isGeneratedSecret(second))
  await server.poll()
  for (const secret of [first, second]) t.equal((await ask(server, secret)).statusCode, 200)
  await server.poll()
  const now = server.clock.now()
  const listed = await send('GET', '/clients/shop/secrets')
  t.match(listed.json(), [
    { expires_at: now + 3600, created_at: now, last_used_at: now },
    { secret_id, expires_at: null, last_used_at: now },
  ])
  t.notMatch(listed.body, 'sha256')
  t.match((await send('POST', '/clients/shop/secrets', { overlap_seconds: 60 })).json(), problem('conflict'))
  const [old] = listed.json()
  t.same((await send('DELETE', `/clients/shop/secrets/${old.secret_id}`)).json(), { ended: old.secret_id })
  t.equal((await send('DELETE', `/clients/shop/secrets/${old.secret_id}`)).statusCode, 404)
  await server.poll()
  t.equal((await ask(server, first)).statusCode, 401)
  t.match((await send('DELETE', `/clients/shop/secrets/${secret_id}`)).json(), problem('force-needed'))
  t.equal((await send('DELETE', `/clients/shop/secrets/${secret_id}?force=true`)).statusCode, 200)
  t.same((await send('GET', '/clients/shop/secrets')).json(), [])
  t.equal((await send('POST', '/clients/shop/secrets', { overlap_seconds: -1 })).statusCode, 400)
  const supplied = await send('POST', '/clients/shop/secrets', {
    client_secret: 'a secret that I chose myself',
  })
  t.same(Object.keys(supplied.json()).sort(), ['client_id', 'client_secret_expires_at', 'secret_id'])
})

t.test(
  'docs/security.md R11: what an administrator ends is refused by the same node from the answer on',
  async (t) => {
    const { send, server } = await administered(t as Test)
    const other = await administrator(server, 'other', ['admin:read', 'admin:clients'])
    const authorization = `Bearer ${await other.token()}`
    const use = () => server.inject({ url: '/admin/v1/clients', headers: { authorization } })
    t.equal((await use()).statusCode, 200)
    await send('PATCH', '/clients/other', { scope: 'admin:clients' })
    t.equal((await use()).statusCode, 403, 'the scope was taken away')
    await send('PATCH', '/clients/other', { scope: 'admin:read admin:clients' })
    t.equal((await use()).statusCode, 200)
    await send('POST', '/clients/other/disable')
    t.equal((await use()).statusCode, 401)
    await send('POST', '/clients/other/enable')
    t.equal((await use()).statusCode, 401, 'its tokens stay revoked')
  },
)

t.test('a client is disabled and enabled, and its tokens end with it', async (t) => {
  const { send, server } = await withOrders(t as Test)
  const { client_secret: secret } = (await send('POST', '/clients', SHOP)).json()
  t.match((await send('POST', '/clients/shop/disable')).json(), { disabled: true })
  await server.poll()
  t.equal((await ask(server, secret)).statusCode, 401)
  t.match((await send('POST', '/clients/shop/enable')).json(), { disabled: false })
  await server.poll()
  t.equal((await ask(server, secret)).statusCode, 200)
  for (const [method, path] of [
    ['POST', '/clients/robot/disable'],
    ['DELETE', '/clients/robot'],
  ] as const)
    t.match((await send(method, path)).json(), problem('force-needed'), path)
  t.match((await send('PATCH', '/clients/robot', { scope: 'admin:read' })).json(), problem('force-needed'))
  t.equal((await send('DELETE', '/clients/robot?force=true')).statusCode, 200)
})

t.test('lists have parts, and a search looks at names and ids', async (t) => {
  const { send } = await withOrders(t as Test)
  for (const name of ['one', 'two', 'three'])
    await send('POST', '/clients', { ...SHOP, client_id: name, client_name: `The ${name}` })
  const ids: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const query: string = cursor === '' ? '' : `&cursor=${cursor}`
    const page: { items: { client_id: string }[]; next_cursor: string | null } = (
      await send('GET', `/clients?limit=2${query}`)
    ).json()
    t.ok(page.items.length <= 2)
    ids.push(...page.items.map((client) => client.client_id))
    cursor = page.next_cursor
  }
  t.same([...ids].sort(), ['one', 'robot', 'three', 'two'])
  t.notOk(ids.includes(COMMAND_LINE_CLIENT), 'what is built in is not in the list')
  t.match((await send('GET', '/clients?search=THE%20T')).json(), { items: { length: 2 }, next_cursor: null })
  t.equal((await send('PATCH', `/clients/${COMMAND_LINE_CLIENT}`, { client_name: 'x' })).statusCode, 409)
})

t.test(
  'new secrets and passwords are hashed in turn with those of sign-ins, and refused when too many wait',
  async (t) => {
    const server = await testServer({ hashingLimits: { running: 1, waiting: 0 } })
    t.teardown(server.close)
    const { send } = await administrator(server)
    await server.store.users.insert(await user({ username: 'carol', roles: [] }))
    let finish = () => {}
    const busy = server.deps.accounts.passwordLimiter.run(
      () => new Promise<void>((resolve) => (finish = resolve)),
      { kind: 'password', ip: '192.0.2.1', knownLocation: true },
    )
    const CLIENT = { ...SHOP, scope: '', client_secret: 'a secret that somebody chose' }
    const requests = [
      ['POST', '/clients', CLIENT],
      ['POST', '/users', { username: 'bob', password: PASSWORD }],
      ['POST', '/users/carol/password', { password: PASSWORD }],
    ] as const
    for (const [method, path, body] of requests) {
      const refused = await send(method, path, body)
      t.equal(refused.statusCode, 503, path)
      t.equal(refused.headers['retry-after'], '1')
    }
    t.equal(
      (await send('POST', '/clients', { ...SHOP, scope: '' })).statusCode,
      201,
      'a generated one is not',
    )
    finish()
    await busy
    t.equal((await send('PATCH', '/clients/shop', { client_secret: CLIENT.client_secret })).statusCode, 200)
    t.equal((await send('POST', '/users', { username: 'bob', password: PASSWORD })).statusCode, 201)
  },
)

t.test('a part of a list reads little more than it shows, however long the list is', async (t) => {
  const { send, server, token } = await withOrders(t as Test)
  const { clients, apis, roles, users } = server.store
  for (let i = 0; i < 300; i += 1) {
    await clients.insert(client({ id: `c${i}` }))
    await apis.insert(api({ identifier: `https://${i}.test`, scopes: [] }))
    await roles.insert({ name: `r${i}`, scopes: ['x'], requireSecondFactor: false, createdAt: 1 })
  }
  for (let i = 0; i < 300; i += 1)
    await users.insert(await user({ id: `u${i}`, username: `u${i}`, roles: i < 200 ? ['r1'] : [] }))
  await server.poll()
  const authorization = { authorization: `Bearer ${await token()}` }
  const { rows } = countQueries(server.store)
  for (const list of ['clients', 'apis', 'roles', 'users']) {
    const before = rows()
    const ids = new Set<string>()
    let cursor: string | null = ''
    for (let part = 0; part < 3 && cursor !== null; part += 1) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`
      const url = `${ADMIN_PATH}/${list}?limit=10${query}`
      const page: { items: object[]; next_cursor: string | null } = (
        await server.inject({ url, headers: authorization })
      ).json()
      for (const item of page.items) ids.add(JSON.stringify(item))
      cursor = page.next_cursor
    }
    t.equal(ids.size, 30, list)
    t.ok(rows() - before < 60, `${list}: ${rows() - before} rows`)
  }
  const before = rows()
  const notes = (await send('DELETE', '/roles/r1')).headers['keyturn-notes']
  t.match(decodeURIComponent(String(notes)), /: u0, u1, u10, u100, u101 and 195 more$/)
  t.ok(
    rows() - before < 650,
    `${rows() - before}: APIs and roles, which the node reads again, and not the users`,
  )
})

t.test(
  'an administrator without a scope of the administration cannot take over a client that has it',
  async (t) => {
    const { send, server } = await administered(t as Test, ['admin:clients', 'admin:read'])
    await administrator(server, 'auditor', ['admin:audit'])
    for (const [method, path, body] of [
      ['POST', '/clients', { ...SHOP, scope: 'admin:audit' }],
      ['PATCH', '/clients/auditor', { client_name: 'mine' }],
      ['PATCH', '/clients/robot', { scope: 'admin:clients admin:read admin:audit' }],
      ['POST', '/clients/auditor/secrets', {}],
      ['POST', '/clients/auditor/disable', undefined],
      ['DELETE', '/clients/auditor', undefined],
    ] as const) {
      const response = await send(method, path, body)
      t.equal(response.statusCode, 403, `${method} ${path}`)
      t.match(response.json(), problem('not-allowed'))
    }
    t.match(await server.store.clients.find('auditor'), { name: 'auditor', revision: 1 })
  },
)

t.test('notes never make the header of a response too long for proxies and clients', async (t) => {
  const { send } = await administered(t as Test)
  const scopes = Array.from({ length: 1000 }, (_, i) => `unknown:${i}`)
  const response = await send('POST', '/clients?allow_unowned=true', { ...SHOP, scope: scopes.join(' ') })
  t.equal(response.statusCode, 201)
  const field = String(response.headers[NOTES_HEADER])
  t.ok(field.length <= MAX_NOTES_LENGTH, `${field.length} characters`)
  t.match(decodeNotes(field), [/^no API has the scope unknown:0, unknown:1, .*…$/])
})

t.test('the logo of a client is fetched by the server', async (t) => {
  const { send, server } = await withOrders(t as Test)
  const body = pngImage(8, [9, 9, 9])
  const web = await imageServer(t, body)
  t.match((await send('POST', '/clients', { ...SHOP, logo_uri: web.uri })).json(), { logo_uri: web.uri })
  const { logo } = (await server.store.clients.find('shop')) ?? {}
  t.match(await server.store.clientLogos.find(logo ?? ''), { body })
  t.notOk('logo_uri' in (await send('PATCH', '/clients/shop', { logo_uri: null })).json())
  t.equal(web.requestCount(), 1)
})

t.test(
  'docs/security.md R14: whatever answers at the address of a logo, or nothing does, an administrator of clients reads one text',
  async (t) => {
    const { send } = await withOrders(t as Test)
    const web = await imageServer(t, pngImage(8, [9, 9, 9]))
    const answers: RequestListener[] = [
      (_request, response) => response.writeHead(404).end('<html>'),
      (_request, response) => response.writeHead(302, { location: '/' }).end(),
      (_request, response) => response.end('not an image'),
      (_request, response) => response.end(Buffer.alloc(200_000)),
      (request) => request.socket.destroy(),
    ]
    const texts = new Set<string>()
    const ask = async (uri: string) => {
      const refused = await send('POST', '/clients', { ...SHOP, logo_uri: uri })
      t.match(refused.json(), problem('invalid-value', 'logo_uri'))
      texts.add(refused.body)
    }
    for (const answer of answers) {
      web.answers(answer)
      await ask(web.uri)
    }
    await ask(`http://127.0.0.1:${await freePort()}/logo.png`)
    t.equal(texts.size, 1)
  },
)

t.test('an API is created, read by any spelling of its URI, changed and deleted', async (t) => {
  const { send, server } = await administered(t as Test)
  const api = {
    identifier: ORDERS,
    name: 'Orders',
    scopes: ['orders:read'],
    scope_texts: { 'orders:read': 'See' },
  }
  const created = await send('POST', '/apis', api)
  t.equal(created.statusCode, 201)
  t.equal(created.headers.location, adminAudience(ISSUER) + ORDERS_PATH)
  t.match(created.json(), { ...api, access_token_ttl: null })
  const read = await send('GET', ORDERS_PATH)
  t.same([read.json(), read.headers.etag], [created.json(), created.headers.etag])
  const change = { scopes: ['orders:read', 'orders:write'], scope_texts: { 'orders:write': 'Change' } }
  t.match((await send('PATCH', ORDERS_PATH, change)).json(), {
    name: 'Orders',
    scope_texts: { 'orders:read': 'See', 'orders:write': 'Change' },
  })
  const stale = await send('PATCH', ORDERS_PATH, {}, { 'if-match': String(read.headers.etag) })
  t.equal(stale.statusCode, 412)
  const reset = (
    await send('PATCH', ORDERS_PATH, { name: null, scope_texts: { 'orders:read': null } })
  ).json()
  t.notOk('name' in reset)
  t.same(reset.scope_texts, { 'orders:write': 'Change' })
  await send('POST', '/clients', { ...SHOP, introspects: [ORDERS] })
  const shrunk = await send('PATCH', ORDERS_PATH, { scopes: ['orders:write'] })
  t.match(notesOf(shrunk), ['clients shop still have scopes that no longer belong to this API: orders:read'])
  t.match((await send('GET', '/apis?search=orders')).json(), {
    items: [{ identifier: ORDERS }],
    next_cursor: null,
  })
  const deleted = await send('DELETE', ORDERS_PATH)
  t.same(deleted.json(), { deleted: ORDERS })
  t.match(notesOf(deleted), [`client shop can no longer introspect the tokens of ${ORDERS}`])
  t.equal((await send('GET', ORDERS_PATH)).statusCode, 404)
  const actions = server.logger.audits('api.changed').map(({ actor, action }) => [actor, action])
  t.same(actions.at(0), ['client:robot', 'created'])
  t.same(actions.at(-1), ['client:robot', 'deleted'])
})

t.test('an API that breaks a rule or owns what belongs to another is refused', async (t) => {
  const { send, server } = await withOrders(t as Test)
  const other = { identifier: 'https://other.example', scopes: ['other'] }
  const bad: readonly [object, number, object][] = [
    [{ identifier: 'two words' }, 400, problem('invalid-value', 'identifier')],
    [{ identifier: ISSUER }, 400, problem('invalid-value', 'identifier')],
    [{ scopes: [] }, 400, problem('invalid-value', 'scopes')],
    [{ scopes: ['openid'] }, 400, problem('invalid-value', 'scopes')],
    [{ scope_texts: { none: 'x' } }, 400, problem('invalid-value', 'scope_texts')],
    [{ name: '\u3164' }, 400, problem('invalid-value', 'name')],
    [{ access_token_ttl: 90_000 }, 400, problem('invalid-value', 'access_token_ttl')],
    [{ scopes: ['orders:read'] }, 409, problem('conflict', 'scopes')],
    [{ identifier: ORDERS }, 409, problem('conflict')],
    [{ scopes: ['admin:read'] }, 409, problem('built-in')],
  ]
  for (const [change, status, expected] of bad) {
    const response = await send('POST', '/apis', { ...other, ...change })
    t.equal(response.statusCode, status, JSON.stringify(change))
    t.match(response.json(), expected)
  }
  t.equal(await server.store.apis.find(other.identifier), null)
  const own = `/apis/${encodeURIComponent(adminAudience(ISSUER))}`
  for (const [method, body] of [
    ['PATCH', { name: 'Mine' }],
    ['DELETE', undefined],
  ] as const) {
    const response = await send(method, own, body)
    t.ok([403, 409].includes(response.statusCode), 'the API of the administration is built in')
  }
  t.match((await send('PATCH', ORDERS_PATH, { scopes: ['orders:read', 'admin:keys'] })).statusCode, /40[39]/)
})
