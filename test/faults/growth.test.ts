/** Floods of requests with invented values: what they leave in the store (docs/security.md Q20). */
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { openBrowser } from '../support/browser/browser.ts'
import { authorizeParams, authorizeUrl, seedUsers } from '../support/browser/sign-in.ts'
import { tablesOf } from '../support/server/database-dump.ts'
import { basic, post } from '../support/server/requests.ts'
import { type TestServer, testServer } from '../support/server/server.ts'

const noise = () => randomBytes(24).toString('base64url')

/** By the kind of invented value; each request is refused or shows a page. */
const FLOODS: Record<string, (server: TestServer) => Promise<unknown>> = {
  'client secrets': (server) =>
    post(
      server,
      '/oauth2/token',
      { grant_type: 'client_credentials' },
      { authorization: basic(noise(), noise()) },
    ),
  'secrets of an existing client': (server) =>
    post(
      server,
      '/oauth2/token',
      { grant_type: 'client_credentials' },
      { authorization: basic('machine', noise()) },
    ),
  'refresh tokens': (server) =>
    post(server, '/oauth2/token', {
      grant_type: 'refresh_token',
      client_id: 'phone',
      refresh_token: noise(),
    }),
  codes: (server) =>
    post(server, '/oauth2/token', {
      grant_type: 'authorization_code',
      client_id: 'spa',
      code: noise(),
      code_verifier: noise() + noise(),
    }),
  assertions: (server) =>
    post(server, '/oauth2/token', {
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: `${noise()}.${noise()}.${noise()}`,
    }),
  'pushed requests': (server) =>
    post(server, '/oauth2/par', Object.fromEntries(authorizeParams()), {
      authorization: basic('web', noise()),
    }),
  'authorization requests': (server) =>
    server.inject({ url: authorizeUrl({ state: noise(), nonce: noise() }) }),
  'requests by reference': (server) =>
    server.inject({ url: authorizeUrl({ request_uri: `urn:ietf:params:oauth:request_uri:${noise()}` }) }),
  revocations: (server) => post(server, '/oauth2/revoke', { client_id: 'phone', token: noise() }),
  introspections: (server) =>
    post(server, '/oauth2/introspect', { token: noise() }, { authorization: basic(noise(), noise()) }),
  'access tokens': (server) =>
    server.inject({ url: '/oauth2/userinfo', headers: { authorization: `Bearer ${noise()}` } }),
  'sign-outs': (server) => server.inject({ url: `/oauth2/logout?id_token_hint=${noise()}` }),
  cookies: (server) =>
    server.inject({
      url: '/account',
      headers: { cookie: `__Host-keyturn-session=${noise()}; flow=${noise()}` },
    }),
  'status lists': (server) => server.inject({ url: `/status-lists/${Math.floor(Math.random() * 1e9)}` }),
  addresses: (server) => server.inject({ url: `/${noise()}` }),
}

async function rowsOf({ store }: TestServer): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const name of await tablesOf(store)) {
    const [row] = await store.db.query<{ count: number }>(`SELECT count(*) AS count FROM "${name}"`)
    counts[name] = row?.count ?? 0
  }
  return counts
}

async function start(t: Test): Promise<TestServer> {
  const server = await testServer()
  t.teardown(() => server.close())
  await seedUsers(server.store)
  return server
}

t.test('requests with invented values store nothing (docs/security.md Q20)', async (t) => {
  const server = await start(t as Test)
  for (const flood of Object.values(FLOODS)) await flood(server)
  const before = await rowsOf(server)
  for (const [name, flood] of Object.entries(FLOODS)) {
    for (let i = 0; i < 60; i += 1) await flood(server)
    await server.poll()
    const after = await rowsOf(server)
    for (const table of Object.keys(before)) {
      // The audit trail of refusals and the counters of guesses have limits of their own (docs/audit.md, docs/operations.md).
      if (table === 'audit' || table === 'rate_limits') continue
      t.equal(after[table], before[table], `${name}: ${table}`)
    }
  }
  const { rate_limits: counters = 0 } = await rowsOf(server)
  t.ok(counters > 0 && counters <= 100, `${counters} counters of guessed client secrets from one address`)
  server.clock.tick(3600)
  await server.deps.jobs.prune()
  t.equal((await rowsOf(server)).rate_limits, 0)
})

t.test('password guesses store only their counters, for an hour (docs/security.md Q20)', async (t) => {
  const server = await start(t as Test)
  const before = await rowsOf(server)
  let pages = 0
  for (let i = 0; i < 120; i += 1) {
    const browser = openBrowser(server)
    const page = await browser.open(authorizeUrl())
    const answer = await browser.submit(page, {
      form: '/login',
      fill: { username: noise(), password: 'wrong' },
    })
    if (answer.path === '/login') pages += 1
  }
  t.equal(pages, 120)
  const { rate_limits: counters = 0 } = await rowsOf(server)
  t.ok(counters > 0 && counters <= 200, `${counters} counters of a hundred and twenty names from one address`)
  server.clock.tick(3600)
  await server.deps.jobs.prune()
  const { audit: _more, ...after } = await rowsOf(server)
  const { audit: _some, ...was } = before
  t.same(after, was)
})
