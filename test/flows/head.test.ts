/** HEAD is a safe method (RFC 9110 §9.2.1), and link checkers, previews and monitors send it to any URL. */
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { openBrowser } from '../support/browser/browser.ts'
import { authorizeUrl, codeClient, seedUsers, signIn } from '../support/browser/sign-in.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { login } from '../support/server/requests.ts'
import { testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
await seedUsers(server.store)
await server.store.clients.insert(codeClient({ id: 'first', firstParty: true }))
await server.poll()

/** The paths that respond to HEAD: documents that are the same for every reader. */
const DOCUMENTS = [
  '/.well-known/jwks.json',
  '/.well-known/oauth-authorization-server',
  '/.well-known/openid-configuration',
  '/.well-known/status-lists.json',
  '/assets/:file',
  '/health/live',
  '/health/ready',
  '/status-lists/:number',
]

/** Every path of the server, from Fastify's own list: each line is a part of a path, indented below the part before it. */
function allPaths(): Map<string, string[]> {
  const paths = new Map<string, string[]>()
  const parents: string[] = []
  for (const line of server.app.printRoutes({ commonPrefix: false }).split('\n')) {
    const [, indent = '', part = '', methods] =
      /^((?:[│ ] {3})*)[├└]── ([^ ]*)(?: \(([A-Z, ]+)\))?/u.exec(line) ?? []
    if (part === '') continue
    const path = (parents[indent.length / 4 - 1] ?? '') + part
    parents[indent.length / 4] = path
    if (methods) paths.set(path, [...(paths.get(path) ?? []), ...methods.split(', ')])
  }
  return paths
}

t.test(
  'HEAD is accepted only for documents, and refused with 405 by every page and endpoint (RFC 9110 §9.2.1; docs/security.md A15)',
  async (t) => {
    const paths = allPaths()
    t.ok(paths.size > 30, 'the list of routes could be read')
    for (const path of ['/login', '/account', '/oauth2/token', '/oauth2/userinfo'])
      t.ok(paths.has(path), path)
    const accepted = [...paths].filter(([, methods]) => methods.includes('HEAD')).map(([path]) => path)
    const documents = accepted.map((path) => path.replace(/^\/assets\/.*/, '/assets/:file'))
    t.same([...new Set(documents)].sort(), DOCUMENTS)
  },
)

t.test(
  'HEAD changes nothing at any route, whatever a GET would do (RFC 9110 §9.2.1; docs/security.md A15)',
  async (t) => {
    const browser = openBrowser(server)
    const loginPage = await browser.open(authorizeUrl({ client_id: 'first' }))
    const flow = new URL(loginPage.url, 'https://issuer.test').searchParams.get('flow') ?? ''
    t.not(flow, '')
    await signIn(browser, { client_id: 'first' })
    const cookie = [...browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')
    const { access_token: token } = (await login(server)).json()
    const headers = [
      { cookie, 'keyturn-verifier': 'orders; instance=one' },
      { authorization: `Bearer ${token}` },
      { authorization: 'Bearer wrong' },
    ]
    // The user session is due for an extension, which every page does.
    server.clock.tick(3600)
    await server.poll()
    // The first token after the hour stores until when tokens of the key may be valid.
    await login(server)
    await server.poll()
    const answers: [string, LightMyRequestResponse][] = []
    await writesNothing(t, server, async () => {
      for (const path of allPaths().keys()) {
        for (const query of [
          '',
          `?flow=${encodeURIComponent(flow)}`,
          authorizeUrl({ client_id: 'first' }).slice('/oauth2/authorize'.length),
        ]) {
          const url = path.replace(':number', '0') + query
          for (const one of headers)
            answers.push([url, await server.inject({ method: 'HEAD', url, headers: one })])
        }
      }
      // Stores what was recorded in memory.
      await server.deps.jobs.poll()
    })
    for (const [url, { statusCode, headers, body }] of answers) {
      t.same([body, headers.location, headers['set-cookie']], ['', undefined, undefined], url)
      t.ok([200, 404, 405].includes(statusCode), `${statusCode} ${url}`)
    }
    const continued = await browser.open(`/login?flow=${encodeURIComponent(flow)}`)
    t.ok(continued.away?.params.get('code'), 'a GET of the same URL issues one')
  },
)
