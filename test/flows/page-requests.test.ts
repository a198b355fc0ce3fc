/** How pages respond to requests other than forms and links: wrong methods, unknown paths, other origins. */
import t from 'tap'
import { pageRoutes } from '../../src/http/pages/index.ts'
import { seedUsers } from '../support/browser/sign-in.ts'
import { post } from '../support/server/requests.ts'
import { testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
await seedUsers(server.store)

const BROWSER_HEADERS = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
const METHODS = new Map<string, string[]>()
for (const { path, method } of pageRoutes(server.deps)) {
  METHODS.set(path, [...(METHODS.get(path) ?? []), method].sort())
}
const gets = [...METHODS].filter(([, methods]) => methods.includes('GET')).map(([path]) => path)

t.test(
  'a wrong method gets 405 with Allow, as HTML for browsers and JSON otherwise (RFC 6749 §3.2; docs/security.md A1)',
  async (t) => {
    t.ok(METHODS.size > 15, 'the list of pages could be read')
    for (const [path, methods] of METHODS) {
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const) {
        if (methods.includes(method)) continue
        const seen = await server.inject({ method, url: path, headers: BROWSER_HEADERS })
        t.same([seen.statusCode, seen.headers.allow], [405, methods.join(', ')], `${method} ${path}`)
        if (method === 'HEAD') {
          t.equal(seen.body, '')
          continue
        }
        t.match(seen.body, /This page cannot be opened directly/)
        const read = await server.inject({ method, url: path, headers: { accept: 'application/json' } })
        t.same([read.statusCode, read.headers.allow], [405, methods.join(', ')])
        t.equal(read.json().error, 'invalid_request')
      }
    }
  },
)

t.test(
  'an unknown path gets a protected 404 page for browsers and JSON otherwise (RFC 9700 §4.16; docs/security.md C40)',
  async (t) => {
    for (const url of ['/nowhere', '/account/x', '/login/', '/LOGIN', '/x?y=<script>']) {
      const seen = await server.inject({ url, headers: { ...BROWSER_HEADERS, 'accept-language': 'de' } })
      t.equal(seen.statusCode, 404, url)
      t.match(seen.headers, {
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
        'content-security-policy': /default-src 'none'.*frame-ancestors 'none'/,
      })
      t.match(seen.body, /<html lang="de">/, 'in the browser’s language')
      t.notMatch(seen.body, /<script>/)
      t.notOk(seen.headers['set-cookie'], 'and it sets no cookie')
      const read = await server.inject({ url })
      t.same([read.statusCode, read.json()], [404, { error: 'not_found' }], url)
    }
  },
)

t.test('paths outside the issuer’s path are not served', async (t) => {
  const tenant = await testServer({ settings: { ISSUER: 'https://issuer.test/tenant' } })
  t.teardown(() => tenant.close())
  for (const [url, html] of [
    ['/tenant/nowhere?x', true],
    ['/tenantx', false],
    ['/login', false],
    ['/', false],
  ] as const) {
    const { statusCode, headers } = await tenant.inject({ url, headers: BROWSER_HEADERS })
    t.same([statusCode, String(headers['content-type']).startsWith('text/html')], [404, html], url)
  }
})

t.test(
  'pages allow no cross-origin access, with or without preflight (RFC 9700 §2.6; docs/security.md C42)',
  async (t) => {
    for (const [url, methods] of METHODS) {
      for (const origin of ['https://app.test', 'null', 'https://issuer.test.evil.test']) {
        const headers = { origin, 'access-control-request-method': 'POST' }
        const preflight = await server.inject({ method: 'OPTIONS', url, headers })
        t.equal(preflight.statusCode, 405, url)
        const sent = methods.includes('POST')
          ? await post(server, url, { x: 'y' }, { origin })
          : await server.inject({ url, headers: { origin } })
        for (const answer of [preflight, sent]) {
          const cors = Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'))
          t.same(cors, [], `${url} from ${origin}`)
        }
      }
    }
  },
)

t.test(
  'every page forbids caching, framing, referrers and foreign content (RFC 9700 §4.16, RFC 9700 §4.2.4; docs/security.md C40, C43)',
  async (t) => {
    for (const url of gets) {
      const { headers, body } = await server.inject({ url, headers: BROWSER_HEADERS })
      t.match(headers, {
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
        'x-frame-options': 'DENY',
        'content-security-policy': /frame-ancestors 'none'; base-uri 'none'/,
      })
      t.notMatch(headers['content-security-policy'], /unsafe|\*/)
      t.notMatch(body, /(?:src|href|action)="(?:https?:)?\/\//, `${url} links to no other site`)
      t.notMatch(body, /<(?:style|iframe|object|embed)|\son[a-z]+=|\sstyle=/, url)
    }
  },
)

t.test('the root URL redirects to the account page', async (t) => {
  const answer = await server.inject({ url: '/', headers: BROWSER_HEADERS })
  t.same([answer.statusCode, answer.headers.location], [303, '/account'])
})

t.test('the issuer’s own URL is its root page, with and without the slash at its end', async (t) => {
  for (const issuer of [
    'https://issuer.test/auth',
    'https://issuer.test/auth/',
    'https://issuer.test/a/~b-c_d.e',
  ]) {
    const server = await testServer({ settings: { ISSUER: issuer } })
    t.teardown(() => server.close())
    const path = new URL(issuer).pathname.replace(/\/$/, '')
    for (const url of [path, `${path}/`]) {
      const { statusCode, headers } = await server.inject({ url, headers: BROWSER_HEADERS })
      t.same([statusCode, headers.location], [303, `${path}/account`], url)
    }
    t.equal((await server.inject({ method: 'POST', url: path })).statusCode, 405)
    t.equal((await server.inject({ url: `${path}/.well-known/jwks.json` })).statusCode, 200)
    t.equal((await server.inject({ url: `${path}x/.well-known/jwks.json` })).statusCode, 404)
  }
})
