import t from 'tap'
import { FORM } from '../support/server/endpoints.ts'
import { post, tokenRequest } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
await seed(server.store)

const OPEN_GET = [
  '/.well-known/jwks.json',
  '/.well-known/oauth-authorization-server',
  '/.well-known/openid-configuration',
]
const OPEN_POST = ['/oauth2/token', '/oauth2/revoke', '/oauth2/par']
const CLOSED = ['/oauth2/introspect', '/health/live', '/health/ready', '/', '/nowhere']
const ORIGINS = ['https://app.example', 'http://localhost:8080', 'null', 'https://app.example.evil.test', 'x']

const preflight = (url: string, origin: string, method = 'POST') =>
  server.inject({
    method: 'OPTIONS',
    url,
    headers: {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': 'authorization,content-type,traceparent',
    },
  })

const corsHeaders = (headers: Record<string, unknown>) =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'))

t.test(
  'pages of any origin may read public documents and request tokens (RFC 9700 §2.6; docs/security.md C42)',
  async (t) => {
    for (const origin of ORIGINS) {
      for (const url of OPEN_GET) {
        const { headers } = await server.inject({ url, headers: { origin } })
        t.equal(headers['access-control-allow-origin'], '*', `${url} for ${origin}`)
      }
      for (const url of OPEN_POST) {
        const { headers } = await post(server, url, { token: 'x' }, { origin })
        t.equal(headers['access-control-allow-origin'], '*', `${url} for ${origin}`)
      }
    }
  },
)

t.test('a page may read error responses and Retry-After', async (t) => {
  const { headers } = await post(
    server,
    '/oauth2/token',
    { grant_type: 'x' },
    { origin: 'https://app.example' },
  )
  t.equal(headers['access-control-allow-origin'], '*')
  t.match(headers['access-control-expose-headers'], /\bRetry-After\b/)
})

t.test('a preflight response lists the allowed methods and headers (Fetch §3.3)', async (t) => {
  for (const url of [...OPEN_GET, ...OPEN_POST]) {
    for (const origin of ORIGINS) {
      const answer = await preflight(url, origin)
      t.same([answer.statusCode, answer.body], [204, ''], `${url} for ${origin}`)
      const { headers } = answer
      t.equal(headers['access-control-allow-origin'], '*')
      t.match(headers['access-control-allow-methods'], /\bPOST\b/)
      // The wildcard does not cover this header (Fetch §3.3.5).
      t.match(headers['access-control-allow-headers'], /\bAuthorization\b/i)
      t.match(headers['access-control-allow-headers'], /(^|, )\*(,|$)/)
      t.match(headers['access-control-max-age'], /^\d+$/)
    }
  }
})

t.test(
  'introspection and all other endpoints allow no cross-origin access, including preflights (RFC 9700 §2.6; docs/security.md C42)',
  async (t) => {
    for (const url of CLOSED) {
      for (const origin of ORIGINS) {
        const preflightResponse = await preflight(url, origin)
        t.ok(
          preflightResponse.statusCode === 405 || preflightResponse.statusCode === 404,
          `${url}: ${preflightResponse.statusCode}`,
        )
        t.same(corsHeaders(preflightResponse.headers), [], url)
        const got = await server.inject({ url, headers: { origin } })
        t.same(corsHeaders(got.headers), [], url)
        const posted = await post(server, url, { token: 'x' }, { origin })
        t.same(corsHeaders(posted.headers), [], url)
      }
    }
  },
)

t.test(
  'CORS responses never allow credentials or echo the origin (RFC 9700 §2.6; docs/security.md C42, P28)',
  async (t) => {
    for (const url of [...OPEN_GET, ...OPEN_POST, ...CLOSED]) {
      for (const origin of ORIGINS) {
        for (const answer of [
          await preflight(url, origin),
          await server.inject({ url, headers: { origin } }),
          await post(server, url, { token: 'x' }, { origin }),
        ]) {
          t.notOk(answer.headers['access-control-allow-credentials'], url)
          t.notMatch(JSON.stringify(answer.headers), /evil|null|example/, url)
        }
      }
    }
  },
)

t.test('OPTIONS without preflight headers gets a well-formed response', async (t) => {
  for (const url of OPEN_POST) {
    t.equal((await server.inject({ method: 'OPTIONS', url })).statusCode, 204, url)
    const bodied = await server.inject({
      method: 'OPTIONS',
      url,
      headers: { 'content-type': FORM },
      payload: 'a=%zz',
    })
    t.ok(bodied.statusCode < 500, url)
    t.equal(bodied.headers['access-control-allow-origin'], '*')
  }
})

t.test('token endpoint responses do not vary by Origin, so that caches may store one copy', async (t) => {
  const { headers } = await tokenRequest(server, { grant_type: 'client_credentials' })
  t.equal(headers['access-control-allow-origin'], '*')
  t.notOk(headers.vary, 'nothing depends on the origin')
})
