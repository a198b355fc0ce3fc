/** Who may do what over the administration API: every operation, with every token that must not be enough. */
import type { InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { ADMIN_PATH, ADMIN_SCOPES, type AdminScope } from '../../src/admin/built-ins.ts'
import { adminRoutes } from '../../src/http/admin/index.ts'
import type { AdminRoute } from '../../src/http/admin/route.ts'
import { administrator } from '../support/server/administrator.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'

const SCOPES = Object.keys(ADMIN_SCOPES) as AdminScope[]
/** The audit log has the refusals. */
const AUDIT = ['audit', 'audit_head']

async function started(t: Test): Promise<TestServer> {
  const server = await testServer()
  t.teardown(server.close)
  await server.store.apis.insert({
    identifier: 'https://orders.example',
    name: null,
    scopes: ['orders:read'],
    scopeTexts: {},
    accessTokenTtl: null,
    signingAlg: null,
    createdAt: 1,
  })
  return server
}

/** A request of the operation for things that do not exist. */
const requestOf = ({ method, path, body }: AdminRoute): InjectOptions => ({
  method,
  url: ADMIN_PATH + path.replaceAll(/\{\w+\}/g, 'nothing'),
  ...(body ? { payload: {} } : {}),
})

t.test(
  'a token without the scope of an operation gets 403 and changes nothing (RFC 6750 §3.1; docs/security.md W1)',
  async (t) => {
    const server = await started(t as Test)
    const { token } = await administrator(server)
    const sets = [
      ...SCOPES.map((scope) => [scope]),
      ...SCOPES.map((scope) => SCOPES.filter((other) => other !== scope)),
    ]
    const tokens = await Promise.all(
      sets.map(async (scopes) => ({ scopes, authorization: `Bearer ${await token(scopes.join(' '))}` })),
    )
    await server.deps.base.auditLog.flush('all')
    for (const route of adminRoutes) {
      const what = `${route.method} ${route.path}`
      await writesNothing(
        t as Test,
        server,
        async () => {
          for (const { scopes, authorization } of tokens.filter(
            ({ scopes }) => !scopes.includes(route.scope),
          )) {
            const answer = await server.inject({ ...requestOf(route), headers: { authorization } })
            t.equal(answer.statusCode, 403, `${what} with ${scopes.join(' ')}`)
            t.match(answer.json(), { type: 'urn:keyturn:problem:insufficient-scope' })
            t.match(answer.headers['www-authenticate'], `scope="${route.scope}"`)
          }
        },
        AUDIT,
      )
    }
    for (const route of adminRoutes) {
      const authorization = `Bearer ${await token(route.scope)}`
      const { statusCode } = await server.inject({ ...requestOf(route), headers: { authorization } })
      t.notOk([401, 403].includes(statusCode), `${route.method} ${route.path} with its scope: ${statusCode}`)
    }
  },
)

t.test(
  'a token that is not valid here is refused by every operation, and changes nothing (RFC 9068 §4; docs/security.md W2)',
  async (t) => {
    const server = await started(t as Test)
    const expired = await (await administrator(server, 'early')).token()
    server.clock.tick(3600)
    const robot = await administrator(server)
    const good = await robot.token()
    const disabled = await (await administrator(server, 'disabled')).token()
    const other = await (await administrator(server, 'other', ['orders:read'])).token()
    const revoked = await robot.token()
    await server.store.clients.update('disabled', (client) => ({ ...client, disabled: true }))
    const revocation = await server.inject({
      method: 'POST',
      url: '/oauth2/revoke',
      headers: { authorization: robot.basic, 'content-type': 'application/x-www-form-urlencoded' },
      payload: `token=${revoked}`,
    })
    t.equal(revocation.statusCode, 200)
    await server.poll()
    await server.deps.base.auditLog.flush('all')

    const inQuery = (text: string) => ({ query: `access_token=${text}` })
    const header = (authorization: string) => ({ headers: { authorization } })
    const bad: Record<string, { headers?: Record<string, string>; query?: string; status?: number }> = {
      none: {},
      'for another audience': header(`Bearer ${other}`),
      expired: header(`Bearer ${expired}`),
      revoked: header(`Bearer ${revoked}`),
      'of a disabled client': header(`Bearer ${disabled}`),
      forged: header(`Bearer ${good.slice(0, -6)}AAAAAA`),
      'without its signature': header(`Bearer ${good.slice(0, good.lastIndexOf('.') + 1)}`),
      'as Basic': header(`Basic ${good}`),
      'the client’s own credentials': header(robot.basic),
      'in the query': { ...inQuery(good), status: 400 },
      'in the header and the query': { ...header(`Bearer ${good}`), ...inQuery(good), status: 400 },
    }
    for (const route of adminRoutes) {
      const request = requestOf(route)
      await writesNothing(
        t as Test,
        server,
        async () => {
          for (const [what, { headers = {}, query, status = 401 }] of Object.entries(bad)) {
            const url = `${String(request.url)}${query ? `?${query}` : ''}`
            const answer = await server.inject({ ...request, url, headers })
            t.equal(answer.statusCode, status, `${route.method} ${route.path}: ${what}`)
            t.match(answer.headers['content-type'], 'application/problem+json')
            if (status === 401) t.match(answer.headers['www-authenticate'], 'Bearer realm="keyturn"')
          }
        },
        AUDIT,
      )
    }
    const alive = await server.inject({ url: `${ADMIN_PATH}/roles`, ...header(`Bearer ${good}`) })
    t.equal(alive.statusCode, 200, 'the token that the others were made from')
  },
)

t.test('the OpenAPI document is open to all, and every other path needs a token', async (t) => {
  const server = await started(t as Test)
  const document = await server.inject({ url: `${ADMIN_PATH}/openapi.json` })
  t.equal(document.statusCode, 200)
  t.match(document.json(), { openapi: /^3\.1/, servers: [{ url: `${ISSUER}/admin/v1` }] })
  for (const [path, methods] of Object.entries(document.json().paths as Record<string, object>))
    for (const [method, { security }] of Object.entries(methods))
      t.same(
        security.flatMap(Object.keys),
        path === '/openapi.json' ? [] : ['oauth', 'dpop'],
        `${method} ${path}`,
      )
})
