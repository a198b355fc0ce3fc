/** Requests of the administration that nobody means to send: each gets a problem document, changes nothing and is never a 500. */
import type { InjectOptions } from 'fastify'
import { exportJWK, generateKeyPair } from 'jose'
import t, { type Test } from 'tap'
import { ADMIN_PATH } from '../../src/admin/built-ins.ts'
import { MAX_DEPTH } from '../../src/http/admin/body.ts'
import { adminRoutes } from '../../src/http/admin/index.ts'
import { administrator } from '../support/server/administrator.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { testServer } from '../support/server/server.ts'

async function started(t: Test) {
  const server = await testServer()
  t.teardown(server.close)
  const { token, send } = await administrator(server)
  const authorization = `Bearer ${await token()}`
  await send('POST', '/roles', { name: 'clerk', scopes: ['admin:read'] })
  const ask = (path: string, options: InjectOptions = {}) =>
    server.inject({
      url: ADMIN_PATH + path,
      ...options,
      headers: { authorization, ...options.headers },
    })
  return { server, ask, authorization }
}

const json = (payload: string | Buffer): InjectOptions => ({
  method: 'POST',
  payload,
  headers: { 'content-type': 'application/json' },
})
const clerk = (more: string) => `{"name":"a","scopes":["admin:read"]${more}}`

const BODIES: readonly [string, InjectOptions, number][] = [
  ['no JSON', json('{'), 400],
  ['nothing', json(''), 400],
  ['a list', json('[]'), 400],
  ['a text', json('"x"'), 400],
  ['null', json('null'), 400],
  ['300 KiB', json(clerk(`,"x":"${'x'.repeat(300 * 1024)}"`)), 413],
  ['a deep list', json(`${'['.repeat(100_000)}${']'.repeat(100_000)}`), 400],
  [
    'a list that is a little too deep',
    json(clerk(`,"x":${'['.repeat(MAX_DEPTH)}${']'.repeat(MAX_DEPTH)}`)),
    400,
  ],
  ['__proto__', json(clerk(',"__proto__":{"polluted":true}')), 400],
  ['constructor.prototype', json(clerk(',"constructor":{"prototype":{"polluted":true}}')), 400],
  ['invalid UTF-8', json(Buffer.from([...Buffer.from('{"name":"'), 0xff, 0xc0, ...Buffer.from('"}')])), 400],
  ['UTF-16', json(Buffer.from(clerk(''), 'utf16le')), 400],
  ['a NUL', json('{"name":"a\\u0000","scopes":["admin:read"]}'), 400],
  ['half of a surrogate pair', json('{"name":"a","scopes":["\\ud800"]}'), 400],
  ['a member twice', json(clerk(',"name":"b"')), 400],
  ['a member twice, once with an escape', json(clerk(',"n\\u0061me":"b"')), 400],
  ['a member twice, deep inside', json(clerk(',"x":[{"a":{"b":1,"c":[],"b" : 2}}]')), 400],
  ['a huge number', json('{"name":1e999,"scopes":["admin:read"]}'), 400],
  ['a form', { ...json('name=a'), headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
  ['XML', { ...json('<a/>'), headers: { 'content-type': 'application/xml' } }, 415],
  ['text', { ...json(clerk('')), headers: { 'content-type': 'text/plain' } }, 415],
  ['no content type', { ...json(clerk('')), headers: { 'content-type': '' } }, 415],
]

t.test('bodies that nobody means to send (RFC 9110 §15.5; docs/security.md W3)', async (t) => {
  const { server, ask } = await started(t as Test)
  await writesNothing(t as Test, server, async () => {
    for (const [what, options, status] of BODIES) {
      const answer = await ask('/roles', options)
      t.equal(answer.statusCode, status, `${what}: ${answer.body}`)
      t.match(answer.headers['content-type'], 'application/problem+json', what)
      t.match(answer.json(), { type: /^urn:keyturn:problem:/, title: String, status, detail: String }, what)
    }
  })
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
})

t.test('equal names in different objects, and equal values, are no repetition', async (t) => {
  const { ask } = await started(t as Test)
  const key = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(key.publicKey)), use: 'sig', kid: 'a' }
  const other = { ...(await exportJWK((await generateKeyPair('ES256')).publicKey)), use: 'sig', kid: 'b' }
  const client = {
    client_id: 'keys',
    client_name: 'client_id',
    grant_types: ['client_credentials'],
    scope: 'admin:read',
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [jwk, other] },
  }
  const answer = await ask('/clients', json(JSON.stringify(client)))
  t.equal(answer.statusCode, 201, answer.body)
})

t.test('docs/security.md R8: no body is costly to refuse', async (t) => {
  const { ask } = await started(t as Test)
  // A token of the administration is needed, but any of its scopes is enough to send a body.
  const longest = 250_000
  const bodies = [
    '"',
    '"a',
    '"\\',
    '\\"',
    '["\\',
    '{"\\":',
    '[',
    ']',
    '[]',
    '{}',
    '[1,',
    '{"a":',
    '"a":',
    '"a" ',
    '"\\u0061":',
    '"\\u0000',
    '\\',
    ' ',
  ].map((unit) => unit.repeat(longest / unit.length))
  for (const body of [...bodies, `"${bodies.join('')}`.slice(0, longest)]) {
    const before = process.threadCpuUsage()
    const answer = await ask('/roles', json(body))
    const { user, system } = process.threadCpuUsage(before)
    const milliseconds = (user + system) / 1000
    t.equal(answer.statusCode, 400, body.slice(0, 10))
    // A pattern that read the rest for each quote needed 60 s.
    t.ok(milliseconds < 2000, `${body.slice(0, 10)} costs ${milliseconds} ms`)
  }
})

const cursor = (key: string) => Buffer.from(key).toString('base64url')

const URLS: readonly [string, number][] = [
  ['/roles?limit=1&limit=2', 400],
  ['/roles?limit=0', 400],
  ['/roles?limit=-1', 400],
  ['/roles?limit=1001', 400],
  ['/roles?limit=1.5', 400],
  ['/roles?limit=NaN', 400],
  ['/roles?limit=99999999999999999999', 400],
  ['/roles?limit=', 400],
  ['/roles?limit[]=1', 400],
  ['/roles?unknown=1', 400],
  ['/roles?__proto__=1', 400],
  ['/roles?cursor=%00', 400],
  ['/roles?cursor=not-a-cursor', 400],
  [`/roles?cursor=${cursor('nothing')}`, 200],
  // PostgreSQL cannot compare a text that contains a NUL.
  [`/roles?cursor=${cursor('nothing\0')}`, 400],
  [`/users?cursor=${cursor('1 u_\0')}`, 400],
  [`/sessions?cursor=${cursor('1 s_\0')}`, 400],
  ['/roles?search=%ff', 400],
  ['/roles?search=%zz', 400],
  ['/roles?search=%00', 400],
  ['/roles?search=%F0%9F%94%91', 200],
  [`/roles?search=${'x'.repeat(201)}`, 400],
  ['/roles/a%2Fb', 404],
  ['/roles/..%2F..%2Froles', 404],
  ['/roles/%00', 400],
  ['/roles/%ff', 400],
  ['/roles/%zz', 400],
  ['/roles/%ED%A0%80', 400],
  ['/roles/__proto__', 404],
  ['/roles/constructor', 404],
  ['/roles/clerk?x=1', 400],
  [`/roles/${'x'.repeat(1500)}`, 404],
  [`/roles/${'x'.repeat(1501)}`, 400],
  [`/roles/${'x'.repeat(5000)}`, 400],
  ['/roles/', 404],
  ['/roles//', 404],
  ['/', 404],
  ['/ROLES', 404],
  ['/roles/clerk/', 404],
]

t.test('paths and queries that nobody means to send (RFC 9110 §15.5; docs/security.md W3)', async (t) => {
  const { server, ask } = await started(t as Test)
  await writesNothing(t as Test, server, async () => {
    for (const [path, status] of URLS) {
      const answer = await ask(path)
      t.equal(answer.statusCode, status, `${path}: ${answer.body}`)
      if (status !== 200) t.match(answer.headers['content-type'], 'application/problem+json', path)
    }
  })
})

t.test('nothing can have a name that has no URL (RFC 3986 §5.2.4)', async (t) => {
  const { server, ask } = await started(t as Test)
  await writesNothing(t as Test, server, async () => {
    for (const name of ['.', '..']) {
      for (const [path, body] of [
        ['/clients', { client_id: name, client_name: 'a', grant_types: ['client_credentials'] }],
        ['/apis', { identifier: name, scopes: ['a'] }],
        ['/roles', { name, scopes: ['admin:read'] }],
        ['/users', { username: name }],
      ] as const) {
        const answer = await ask(path, json(JSON.stringify(body)))
        t.equal(answer.statusCode, 400, `${path} ${name}: ${answer.body}`)
      }
    }
  })
})

t.test('a method that a path does not have changes nothing, HEAD and OPTIONS included', async (t) => {
  const { server, ask } = await started(t as Test)
  await writesNothing(t as Test, server, async () => {
    for (const path of new Set(adminRoutes.map((route) => route.path))) {
      const own = adminRoutes.filter((route) => route.path === path).map(({ method }) => method as string)
      for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'POST', 'PUT', 'PATCH', 'DELETE'] as const) {
        if (own.includes(method)) continue
        const answer = await ask(path.replaceAll(/\{\w+\}/g, 'clerk'), { method: method as 'PUT' })
        t.equal(answer.statusCode, 405, `${method} ${path}`)
        t.equal(answer.headers.allow, own.sort().join(', '), `${method} ${path}`)
        if (method !== 'HEAD') t.match(answer.json(), { type: /method-not-allowed$/ })
      }
    }
  })
})

t.test('a header field that is repeated is refused', async (t) => {
  const { server, ask, authorization } = await started(t as Test)
  await writesNothing(t as Test, server, async () => {
    for (const [name, values] of Object.entries({
      authorization: [authorization, authorization],
      'idempotency-key': ['a', 'a'],
      'if-match': ['"1"', '"2"'],
    })) {
      const options = { ...json(clerk('')), headers: { 'content-type': 'application/json', [name]: values } }
      const answer = await ask('/roles', options as InjectOptions)
      t.equal(answer.statusCode, 400, `${name}: ${answer.body}`)
    }
  })
})

t.test('a change that is null is refused (RFC 7396)', async (t) => {
  const { server, ask } = await started(t as Test)
  await writesNothing(t as Test, server, async () => {
    const answer = await ask('/roles/clerk', { ...json('null'), method: 'PATCH' })
    t.equal(answer.statusCode, 400)
  })
})

/** Each was found by schemathesis, which makes requests from the OpenAPI document (CONTRIBUTING.md). */
t.test('a simulation with a rotation every zero seconds is refused, and ends', async (t) => {
  const { ask } = await started(t as Test)
  const answer = await ask('/keys/simulate', json('{"key_rotation":0,"verifier_cache":0}'))
  t.equal(answer.statusCode, 400)
  t.match(answer.json(), { errors: [{ field: 'key_rotation' }] })
})
