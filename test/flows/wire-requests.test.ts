import t from 'tap'
import { writesNothing } from '../support/server/database-dump.ts'
import { goodRequests, postText, seedEndpoints } from '../support/server/endpoints.ts'
import { refused, wellFormed } from '../support/server/error-responses.ts'
import { encodeForm } from '../support/server/requests.ts'
import { testServer } from '../support/server/server.ts'

const server = await testServer()
const { key } = await seedEndpoints(server)
const requests = goodRequests(server, key)
t.teardown(() => server.close())

const POSTED = ['/oauth2/token', '/oauth2/revoke', '/oauth2/introspect']
const FETCHED = [
  '/.well-known/jwks.json',
  '/.well-known/oauth-authorization-server',
  '/.well-known/openid-configuration',
  '/health/live',
  '/health/ready',
]

t.test(
  'a wrong method gets 405 with Allow as JSON and writes nothing (RFC 9110 §15.5.6; docs/security.md A1)',
  async (t) => {
    const methods = ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'QUERY', 'PROPFIND', 'SEARCH', 'LOCK']
    await writesNothing(t, server, async () => {
      for (const url of POSTED) {
        for (const method of methods) {
          const label = `${method} ${url}`
          const answer = await server.inject({ method: method as 'GET', url })
          t.equal(answer.headers.allow, 'POST', label)
          if (method === 'HEAD') t.same([answer.statusCode, answer.body], [405, ''], label)
          else refused(t, answer, { status: 405, error: 'invalid_request' }, label)
        }
      }
    })
    for (const url of FETCHED) {
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'QUERY', 'PROPFIND']) {
        const label = `${method} ${url}`
        const answer = await server.inject({ method: method as 'POST', url })
        t.equal(answer.headers.allow, 'GET, HEAD', label)
        refused(t, answer, { status: 405, error: 'invalid_request' }, label)
      }
      t.equal((await server.inject({ method: 'HEAD', url })).statusCode, 200, `HEAD ${url}`)
    }
  },
)

t.test(
  'a wrong method is refused even with valid credentials and parameters (RFC 6749 §3.2; docs/security.md A1)',
  async (t) => {
    for (const request of requests) {
      const { url, headers } = request
      const form = encodeForm(await request.form())
      await writesNothing(t, server, async () => {
        for (const method of ['GET', 'PUT', 'PATCH', 'DELETE'] as const) {
          const inQuery = await server.inject({ method, url: `${url}?${form}`, headers })
          refused(t, inQuery, { status: 405, error: 'invalid_request' }, `${method} ${request.name}`)
          if (method === 'GET') continue
          const type = { 'content-type': 'application/x-www-form-urlencoded' }
          const inBody = await server.inject({ method, url, headers: { ...headers, ...type }, payload: form })
          refused(t, inBody, { status: 405, error: 'invalid_request' }, `${method} ${request.name}`)
        }
      })
    }
  },
)

t.test('the body of a request with a wrong method or path is not examined', async (t) => {
  const bodies = [
    { 'content-type': 'application/json', payload: '{bad' },
    { 'content-type': ';;;', payload: 'x' },
    { 'content-type': 'text/plain', payload: 'x'.repeat(2 << 20) },
  ]
  for (const { payload, ...headers } of bodies) {
    for (const url of [...POSTED, ...FETCHED]) {
      const answer = await server.inject({ method: 'PUT', url, headers, payload })
      refused(t, answer, { status: 405, error: 'invalid_request' }, `${url} ${headers['content-type']}`)
    }
    const answer = await server.inject({ method: 'POST', url: '/nowhere', headers, payload })
    t.same([answer.statusCode, answer.json()], [404, { error: 'not_found' }])
    t.equal(answer.headers['cache-control'], 'no-store')
  }
})

t.test('an unknown path gets 404 as JSON, and a malformed one 400', async (t) => {
  for (const url of [
    '/x',
    '/oauth2',
    '/oauth2/token/',
    '/OAUTH2/TOKEN',
    '//oauth2/token',
    '/.well-known/x',
  ]) {
    const answer = await server.inject({ method: 'POST', url })
    t.same([answer.statusCode, answer.json()], [404, { error: 'not_found' }], url)
  }
  for (const url of ['/oauth2/token%zz', '/%ff', '/oauth2/%C0%80']) {
    refused(t, await server.inject({ method: 'POST', url }), { error: 'invalid_request' }, url)
  }
})

t.test(
  'a body of another content type is invalid_request and not parsed (RFC 6749 App. B; docs/security.md A6)',
  async (t) => {
    const types = [
      'application/json',
      'application/json; charset=utf-8',
      'multipart/form-data; boundary=x',
      'text/plain',
      'application/octet-stream',
      'application/x-www-form-urlencoded\ta',
      'application/x-www-form-urlencoded garbage',
      'application/x-www-form-urlencodedx',
      'application/x-www-form-urlencoded, application/json',
      'xapplication/x-www-form-urlencoded',
      'application/*',
      '*/*',
      ';;;',
      '/',
      'application',
      '',
    ]
    for (const request of requests) {
      const form = await request.form()
      await writesNothing(t, server, async () => {
        for (const type of types) {
          for (const body of [encodeForm(form), JSON.stringify(form)]) {
            const answer = await postText(server, request, body, { 'content-type': type })
            refused(t, answer, { error: 'invalid_request' }, `${request.name} as ${encodeURIComponent(type)}`)
          }
        }
        const { url, headers } = request
        const untyped = await server.inject({
          method: 'POST',
          url,
          headers,
          payload: Buffer.from(encodeForm(form)),
        })
        refused(t, untyped, { error: 'invalid_request' }, `${request.name} without a type`)
      })
    }
  },
)

t.test('the content type is compared as a media type (RFC 9110 §8.3.1; docs/security.md A6)', async (t) => {
  const types = [
    'application/x-www-form-urlencoded',
    'APPLICATION/X-WWW-FORM-URLENCODED',
    'application/x-www-form-urlencoded; charset=UTF-8',
    'application/x-www-form-urlencoded;charset="utf-8"',
  ]
  for (const request of requests) {
    for (const type of types) {
      const answer = await postText(server, request, encodeForm(await request.form()), {
        'content-type': type,
      })
      t.equal(answer.statusCode, 200, `${request.name} as ${type}`)
    }
  }
})

t.test(
  'a body that is not form-encoded is refused, whatever its content type (RFC 6749 App. B, RFC 9110 §15.5.14; docs/security.md A6, A14)',
  async (t) => {
    const bodies = [
      '{"grant_type":"client_credentials"}',
      `${'['.repeat(30_000)}${']'.repeat(30_000)}`,
      `${'{"a":'.repeat(8_000)}1${'}'.repeat(8_000)}`,
      '<xml/>',
      '&&&&',
      '=',
      '===',
      '?grant_type=client_credentials',
      ' grant_type=client_credentials',
      '[]',
      'null',
      Buffer.from([0x1f, 0x8b, 0x08, 0x00]),
    ]
    for (const request of requests) {
      await writesNothing(t, server, async () => {
        for (const [index, body] of bodies.entries()) {
          const answer = await postText(server, request, body)
          const label = `${request.name}, body ${index}`
          // 413: a parameter that is longer than its maximum.
          t.ok([400, 401, 413].includes(answer.statusCode), `${label}: ${answer.statusCode}`)
          wellFormed(t, answer, label)
        }
      })
    }
  },
)

t.test(
  'a body of two megabytes gets 413 as an OAuth error (RFC 9110 §15.5.14, RFC 6749 §5.2; docs/security.md A14)',
  async (t) => {
    for (const request of requests) {
      await writesNothing(t, server, async () => {
        const answer = await postText(server, request, 'x'.repeat(2 << 20))
        refused(t, answer, { status: 413, error: 'invalid_request' }, request.name)
      })
    }
  },
)

t.test(
  'success and error responses have no-store and no-cache (RFC 6749 §5.1; docs/security.md A9)',
  async (t) => {
    for (const request of requests) {
      const good = await postText(server, request, encodeForm(await request.form()))
      const bad = await postText(server, request, 'a=1&a=1')
      for (const answer of [good, bad]) {
        t.equal(answer.headers['cache-control'], 'no-store', request.name)
        t.equal(answer.headers.pragma, 'no-cache', request.name)
        t.equal(answer.headers['x-content-type-options'], 'nosniff', request.name)
      }
    }
  },
)

t.test(
  'an empty response has a length of 0 and no content type, so that clients do not parse it (RFC 9110 §8.3)',
  async (t) => {
    const document = await server.inject({ url: FETCHED[0] ?? '' })
    const cached = { 'if-none-match': String(document.headers.etag) }
    const preflight = { origin: 'https://app.example', 'access-control-request-method': 'POST' }
    const answers = {
      'userinfo without a token': await server.inject({ url: '/oauth2/userinfo' }),
      'a redirect': await server.inject({ url: '/account' }),
      'a preflight request': await server.inject({
        method: 'OPTIONS',
        url: '/oauth2/token',
        headers: preflight,
      }),
      'a document that has not changed': await server.inject({ url: FETCHED[0] ?? '', headers: cached }),
    }
    t.same(
      Object.values(answers).map(({ statusCode }) => statusCode),
      [401, 303, 204, 304],
    )
    for (const [label, { statusCode, headers, body }] of Object.entries(answers)) {
      t.equal(body, '', label)
      t.notOk('content-type' in headers, `${label}: ${headers['content-type']}`)
      // RFC 9110 §8.6: a 204 must not have a length, and a 304 has none of its own.
      const length = statusCode === 204 || statusCode === 304 ? undefined : '0'
      t.equal(headers['content-length'], length, label)
    }
  },
)
