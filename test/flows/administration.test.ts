/** The administration API: who may use it, and what every resource of it has in common. The resource `roles` stands for all. */
import t, { type Test } from 'tap'
import {
  ADMIN_PATH,
  ADMIN_SCOPES,
  adminAudience,
  COMMAND_LINE_CLIENT,
  ensureBuiltIns,
} from '../../src/admin/built-ins.ts'
import { administrator } from '../support/server/administrator.ts'
import { user } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

async function administered(t: Test, settings: Record<string, string> = {}) {
  const server = await testServer({ settings })
  t.teardown(server.close)
  return { server, ...(await administrator(server, 'robot', ['admin:read', 'admin:clients', 'admin:users'])) }
}

const CLERK = { name: 'clerk', scopes: ['orders:read'] }

t.test('a role is created, read, changed, listed and deleted, with a revision each time', async (t) => {
  const { send, server } = await administered(t as Test)
  const created = await send('POST', '/roles?allow_unowned=true', CLERK)
  t.equal(created.statusCode, 201)
  t.equal(created.headers.location, `${adminAudience(ISSUER)}/roles/clerk`)
  t.match(created.json(), { ...CLERK, require_second_factor: false })
  t.match(decodeURIComponent(String(created.headers['keyturn-notes'])), /no API has the scope orders:read/)
  const read = await send('GET', '/roles/clerk')
  t.same(read.json(), created.json())
  t.equal(read.headers.etag, created.headers.etag)
  const changed = await send('PATCH', '/roles/clerk', { require_second_factor: true })
  t.match(changed.json(), { require_second_factor: true, scopes: ['orders:read'] })
  t.not(changed.headers.etag, read.headers.etag)
  t.match((await send('GET', '/roles?search=CLE')).json(), { items: [{ name: 'clerk' }], next_cursor: null })
  t.same((await send('GET', '/roles?search=x')).json(), { items: [], next_cursor: null })
  t.same((await send('DELETE', '/roles/clerk')).json(), { deleted: 'clerk' })
  t.equal((await send('GET', '/roles/clerk')).statusCode, 404)
  const events = server.logger.audits('role.changed').map(({ actor, action }) => [actor, action])
  t.same(events, [
    ['client:robot', 'created'],
    ['client:robot', 'updated'],
    ['client:robot', 'deleted'],
  ])
})

t.test(
  'of two administrators who change the same revision, the second gets 412 (RFC 9110 §13.1.1)',
  async (t) => {
    const { send } = await administered(t as Test)
    const { headers } = await send('POST', '/roles?allow_unowned=true', CLERK)
    const seen = { 'if-match': String(headers.etag) }
    t.equal((await send('PATCH', '/roles/clerk', { require_second_factor: true }, seen)).statusCode, 200)
    for (const [method, payload] of [['PATCH', { scopes: ['openid2'] }], ['DELETE']] as const) {
      const late = await send(method, '/roles/clerk', payload, seen)
      t.equal(late.statusCode, 412, method)
      t.match(late.json(), { type: 'urn:keyturn:problem:precondition-failed', status: 412 })
    }
    t.equal((await send('PATCH', '/roles/clerk', {}, { 'if-match': 'W/"1"' })).statusCode, 412, 'a weak tag')
    t.match((await send('GET', '/roles/clerk')).json(), { ...CLERK, require_second_factor: true })
  },
)

t.test('If-Match with several tags is met by any of them (RFC 9110 §13.1.1)', async (t) => {
  const { send } = await administered(t as Test)
  await send('POST', '/roles?allow_unowned=true', CLERK)
  const change = async (tags: string) => {
    const { headers } = await send('GET', '/roles/clerk')
    const header = { 'if-match': tags.replaceAll('NOW', String(headers.etag)) }
    const { require_second_factor: before } = (await send('GET', '/roles/clerk')).json()
    const { statusCode } = await send('PATCH', '/roles/clerk', { require_second_factor: !before }, header)
    const { require_second_factor: after } = (await send('GET', '/roles/clerk')).json()
    t.equal(before !== after, statusCode === 200, tags)
    return statusCode
  }
  for (const tags of ['NOW', '"1", NOW', '"x,y" ,NOW,W/"3"', ', "",, NOW ,', 'NOW,NOW', '*'])
    t.equal(await change(tags), 200, tags)
  const many = Array.from({ length: 33 }, (_, i) => `"${i}"`).join()
  for (const tags of ['"1", "2"', 'W/NOW', '1', '*, NOW', 'NOW "1"', '"1', `${many}, NOW`, ' , '])
    t.equal(await change(tags), 412, tags)
})

t.test('consents for the administration outlive a start, and end with another issuer', async (t) => {
  const { server } = await administered(t as Test)
  const { store, clock, config } = server
  await store.users.insert(await user({ id: 'root', username: 'root', roles: [] }))
  const audiences = [adminAudience(ISSUER), 'https://orders.example']
  const granted = { userId: 'root', clientId: COMMAND_LINE_CLIENT, scopes: ['admin:read'], grantedAt: 1 }
  for (const audience of audiences) await store.consents.add({ ...granted, audience })
  const start = async (issuer: string) => {
    await ensureBuiltIns({ store, clock, config: { ...config, issuer } })
    return (await store.consents.list('root')).map(({ audience }) => audience).sort()
  }
  t.same(await start(ISSUER), audiences)
  t.same(await start('https://other.test'), ['https://orders.example'])
  t.equal(await store.apis.find(adminAudience(ISSUER)), null)
  t.match(await store.apis.find(adminAudience('https://other.test')), { scopes: Object.keys(ADMIN_SCOPES) })
  t.same(await start(ISSUER), ['https://orders.example'], 'it does not come back')
})

t.test('a value that is not valid is named in a problem document (RFC 9457)', async (t) => {
  const { send, server } = await administered(t as Test)
  const bad: readonly [object, string][] = [
    [{ ...CLERK, scopes: 'orders:read' }, 'scopes'],
    [{ ...CLERK, colour: 'red' }, 'colour'],
    [{ scopes: ['x'] }, 'name'],
    [{ ...CLERK, name: 'two words' }, 'name'],
    [{ ...CLERK, scopes: ['openid'] }, 'scopes'],
    [{ ...CLERK, scopes: [] }, 'scopes'],
  ]
  for (const [body, field] of bad) {
    const response = await send('POST', '/roles?allow_unowned=true', body)
    t.equal(response.statusCode, 400, field)
    t.match(response.headers['content-type'], 'application/problem+json')
    t.match(response.json(), { type: 'urn:keyturn:problem:invalid-value', errors: [{ field }] })
  }
  t.match((await send('POST', '/roles', CLERK)).json(), { type: 'urn:keyturn:problem:unowned-scope' })
  t.equal(await server.store.roles.find('clerk'), null)
  t.equal((await send('POST', '/roles', CLERK, { 'content-type': 'text/plain' })).statusCode, 415)
  t.equal((await send('GET', '/rolls')).statusCode, 404)
  const wrong = await send('DELETE', '/roles')
  t.equal(wrong.statusCode, 405)
  t.equal(wrong.headers.allow, 'GET, POST')
})

t.test(
  'only an access token for this API with the scope is accepted (RFC 6750 §3.1, RFC 9068 §4)',
  async (t) => {
    const { server, send, token } = await administered(t as Test)
    const get = (headers: Record<string, string>, query = '') =>
      server.inject({ url: `${ADMIN_PATH}/roles${query}`, headers })
    const none = await get({})
    t.equal(none.statusCode, 401)
    t.match(none.headers['www-authenticate'], /^Bearer realm="keyturn", DPoP algs="[\w ]+"$/)
    const good = await token()
    t.equal((await get({ authorization: `Bearer ${good}` })).statusCode, 200)
    t.equal((await get({}, `?access_token=${good}`)).statusCode, 400)
    t.equal((await get({ authorization: `Bearer ${good.slice(0, -4)}AAAA` })).statusCode, 401)
    const writer = await token('admin:clients')
    const refused = await get({ authorization: `Bearer ${writer}` })
    t.equal(refused.statusCode, 403, 'a scope that changes things does not include reading')
    t.match(refused.headers['www-authenticate'], 'error="insufficient_scope"')
    t.match(refused.headers['www-authenticate'], 'scope="admin:read"')
    await server.store.apis.insert({
      identifier: 'https://orders.example',
      name: null,
      scopes: ['orders:read'],
      scopeTexts: {},
      accessTokenTtl: null,
      signingAlg: null,
      createdAt: 1,
    })
    const other = await administrator(server, 'other', ['orders:read'])
    t.equal(
      (await get({ authorization: `Bearer ${await other.token()}` })).statusCode,
      401,
      'another audience',
    )
    await server.store.clients.update('robot', (client) => ({ ...client, disabled: true }))
    await server.poll()
    t.equal((await get({ authorization: `Bearer ${good}` })).statusCode, 401, 'a disabled client')
    t.equal((await send('POST', '/roles', CLERK)).statusCode, 401)
    server.clock.tick(601)
    t.equal((await get({ authorization: `Bearer ${good}` })).statusCode, 401, 'expired')
  },
)

t.test('no administrator can give scopes of the administration that it does not have', async (t) => {
  const { send } = await administered(t as Test)
  const response = await send('POST', '/roles', { name: 'auditor', scopes: ['admin:audit'] })
  t.equal(response.statusCode, 403)
  t.match(response.json(), { type: 'urn:keyturn:problem:not-allowed' })
  t.equal((await send('POST', '/roles', { name: 'reader', scopes: ['admin:read'] })).statusCode, 201)
})

t.test('what is built in cannot be changed, and is not in lists', async (t) => {
  const { send } = await administered(t as Test)
  t.same((await send('GET', '/roles')).json(), { items: [], next_cursor: null })
  t.match((await send('GET', '/roles/keyturn-admin')).json(), { require_second_factor: true })
  t.equal((await send('DELETE', '/roles/keyturn-admin')).statusCode, 409)
  t.equal((await send('PATCH', '/roles/keyturn-admin', { scopes: ['admin:read'] })).statusCode, 409)
})

t.test('with KEYTURN_ADMIN=off there is no administration, and no token for it', async (t) => {
  const { server, token } = await administered(t as Test, { ADMIN: 'off' })
  t.equal((await server.inject({ url: `${ADMIN_PATH}/roles` })).statusCode, 404)
  t.equal(await server.store.apis.find(adminAudience(ISSUER)), null)
  const claims = JSON.parse(Buffer.from(String((await token()).split('.')[1]), 'base64url').toString())
  t.not(claims.aud, adminAudience(ISSUER))
})
