/** `Idempotency-Key`: a request of an administrator that is sent again does not act again. */
import t, { type Test } from 'tap'
import { Type } from 'typebox'
import { IDEMPOTENCY_TTL } from '../../src/admin/idempotency.ts'
import { SHOWN_ONCE, shownOnce } from '../../src/admin/schema.ts'
import { adminRoutes } from '../../src/http/admin/index.ts'
import { withoutShownOnce } from '../../src/http/admin/shown-once.ts'
import { administrator } from '../support/server/administrator.ts'
import { testServer } from '../support/server/server.ts'

const CLERK = { name: 'clerk', scopes: ['admin:read'] }
const KEY = { 'idempotency-key': 'first' }

async function started(t: Test) {
  const server = await testServer()
  t.teardown(server.close)
  return { server, ...(await administrator(server)) }
}

t.test('a repetition gets the answer of the first request and changes nothing', async (t) => {
  const { server, send } = await started(t as Test)
  const first = await send('POST', '/roles', CLERK, KEY)
  t.equal(first.statusCode, 201)
  await send('PATCH', '/roles/clerk', { require_second_factor: true })
  const again = await send('POST', '/roles', { scopes: CLERK.scopes, name: CLERK.name }, KEY)
  for (const name of ['etag', 'location', 'keyturn-notes']) t.equal(again.headers[name], first.headers[name])
  t.equal(again.statusCode, 201)
  t.same(again.json(), first.json(), 'whatever the order of its members')
  t.equal(server.logger.audits('role.changed').filter(({ action }) => action === 'created').length, 1)
  await send('DELETE', '/roles/clerk')
  t.equal((await send('POST', '/roles', CLERK, KEY)).statusCode, 201)
  t.equal(await server.store.roles.find('clerk'), null, 'not even if the resource is gone')
})

t.test(
  'the key with another body, query or path is refused, and remains for the first request',
  async (t) => {
    const { server, send } = await started(t as Test)
    await send('POST', '/roles', CLERK, KEY)
    for (const [path, body] of [
      ['/roles', { ...CLERK, name: 'other' }],
      ['/roles', { ...CLERK, require_second_factor: true }],
      ['/roles?allow_unowned=true', CLERK],
    ] as const) {
      const other = await send('POST', path, body, KEY)
      t.equal(other.statusCode, 422)
      t.match(other.json(), { type: 'urn:keyturn:problem:idempotency-mismatch' })
    }
    t.equal((await send('POST', '/roles', CLERK, KEY)).statusCode, 201)
    t.same(
      (await server.store.roles.list()).map(({ name }) => name),
      ['clerk', 'keyturn-admin'],
    )
  },
)

t.test('the keys of two administrators are different keys, and a key ends after 24 hours', async (t) => {
  const { server, send } = await started(t as Test)
  const other = await administrator(server, 'other')
  await send('POST', '/roles', CLERK, KEY)
  const theirs = { ...CLERK, name: 'theirs' }
  t.equal((await other.send('POST', '/roles', theirs, KEY)).statusCode, 201)
  server.clock.tick(IDEMPOTENCY_TTL - 1)
  t.equal((await send('POST', '/roles', CLERK, KEY)).statusCode, 201)
  server.clock.tick(1)
  t.equal((await send('POST', '/roles', CLERK, KEY)).statusCode, 409, 'then the role exists')
  t.equal((await send('POST', '/roles', { ...CLERK, name: 'next' }, KEY)).statusCode, 201)
})

t.test(
  'of fifty equal requests at once one acts; the others get its answer, or 409 until there is one (docs/security.md W4)',
  async (t) => {
    const { server, send } = await started(t as Test)
    const answers = await Promise.all(Array.from({ length: 50 }, () => send('POST', '/roles', CLERK, KEY)))
    for (const { statusCode, headers, json } of answers) {
      if (statusCode === 201) continue
      t.equal(statusCode, 409)
      t.match(json(), { type: 'urn:keyturn:problem:idempotency-in-progress' })
      t.equal(headers['retry-after'], '1')
    }
    t.ok(answers.some(({ statusCode }) => statusCode === 201))
    t.equal(server.logger.audits('role.changed').length, 1)
    t.equal((await send('POST', '/roles', CLERK, KEY)).statusCode, 201)
  },
)

t.test('a request that is refused changes nothing, so its key can be used again', async (t) => {
  const { server, send } = await started(t as Test)
  t.equal((await send('POST', '/roles', { ...CLERK, scopes: ['typo'] }, KEY)).statusCode, 400)
  t.equal((await send('POST', '/roles', CLERK, KEY)).statusCode, 201)
  t.equal((await server.store.db.query('SELECT * FROM idempotent_requests')).length, 1)
})

t.test('of a request that changes nothing, nothing is remembered (docs/security.md R12)', async (t) => {
  const { server, send } = await started(t as Test)
  for (const [path, body] of [
    ['/keys/simulate', {}],
    ['/checks/user', { username: 'ivy' }],
  ] as const) {
    t.equal((await send('POST', path, body, KEY)).statusCode, 200)
    t.equal((await send('POST', path, body, KEY)).statusCode, 200)
  }
  t.same(await server.store.db.query('SELECT * FROM idempotent_requests'), [])
})

t.test('what is remembered is encrypted', async (t) => {
  const { server, send } = await started(t as Test)
  await send('POST', '/roles', CLERK, KEY)
  const [row] = await server.store.db.query('SELECT * FROM idempotent_requests')
  t.match(row, { actor: 'client:robot', idempotency_key: 'first', request: /^v1\.1\./, answer: /^v1\.1\./ })
  t.notMatch(JSON.stringify(row), 'clerk')
})

t.test('a key is 1 to 255 visible characters, once', async (t) => {
  const { server, send } = await started(t as Test)
  for (const key of ['x'.repeat(256), 'café'])
    t.match((await send('POST', '/roles', CLERK, { 'idempotency-key': key })).json(), {
      type: 'urn:keyturn:problem:invalid-value',
      errors: [{ field: 'Idempotency-Key' }],
    })
  t.equal(await server.store.roles.find('clerk'), null)
  t.equal((await send('POST', '/roles', CLERK, { 'idempotency-key': 'x'.repeat(255) })).statusCode, 201)
})

t.test(
  'a request whose answer could not be stored is answered, and its repetition says that it may have acted',
  async (t) => {
    const { server, send } = await started(t as Test)
    const { idempotency } = server.store
    Object.assign(idempotency, { finish: () => Promise.reject(new Error('the store is gone')) })
    t.equal((await send('POST', '/roles', CLERK, KEY)).statusCode, 201)
    t.match((await send('POST', '/roles', CLERK, KEY)).json(), { type: /idempotency-in-progress$/ })
    server.clock.tick(61)
    t.match((await send('POST', '/roles', CLERK, KEY)).json(), {
      type: 'urn:keyturn:problem:idempotency-unknown',
      status: 409,
    })
    t.equal(server.logger.audits('role.changed').length, 1)
  },
)

t.test('a member that is shown once is left out, wherever it is', (t) => {
  const Secret = Type.Object({ id: Type.String(), client_secret: shownOnce('The secret.') })
  const schema = Type.Object({
    one: Secret,
    many: Type.Array(Secret),
    maybe: Type.Union([Secret, Type.Null()]),
  })
  const secret = { id: 'a', client_secret: 's' }
  t.same(withoutShownOnce(schema, { one: secret, many: [secret], maybe: secret }), {
    one: { id: 'a' },
    many: [{ id: 'a' }],
    maybe: { id: 'a' },
  })
  t.same(withoutShownOnce(schema, { one: secret, many: [], maybe: null }), {
    one: { id: 'a' },
    many: [],
    maybe: null,
  })
  t.end()
})

t.test('every member of an answer that can be a secret is marked as shown once', (t) => {
  const isSecret = (name: string) => /(secret|password|link|token|recovery_codes)$/.test(name)
  const unmarked = (where: string, schema: unknown): string[] =>
    schema === null || typeof schema !== 'object'
      ? []
      : Object.entries(schema).flatMap(([name, inner]) => [
          ...(name === 'properties'
            ? Object.entries(inner as Record<string, Record<string, unknown>>)
                .filter(([member, one]) => isSecret(member) && one.type === 'string' && !one[SHOWN_ONCE])
                .map(([member]) => `${where} ${member}`)
            : []),
          ...unmarked(where, inner),
        ])
  t.same(
    adminRoutes.flatMap(({ method, path, response }) => unmarked(`${method} ${path}`, response)),
    [],
  )
  t.end()
})
