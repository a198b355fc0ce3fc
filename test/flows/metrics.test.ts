import { setImmediate as turn } from 'node:timers/promises'
import type { InjectOptions } from 'fastify'
import t from 'tap'
import { AUDIT_EVENTS } from '../../src/audit/events.ts'
import { brandingOf } from '../../src/http/app-parts.ts'
import { createMetricsApp } from '../../src/http/metrics-app.ts'
import { protocolEndpoints } from '../../src/http/routes.ts'
import { rotateRing } from '../../src/keys/rotate.ts'
import { REFUSALS } from '../../src/metrics/count-audit.ts'
import { session } from '../contracts/client-sessions.ts'
import { ENGINE, forbidWriting } from '../support/server/engine.ts'
import { scrape } from '../support/server/metrics.ts'
import { hashAtRealCost } from '../support/server/quick-hashing.ts'
import { basic, claimsOf, clientCredentials, login, post, refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'

/** A seeded server, closed with the test. */
async function started(
  t: { teardown(work: () => Promise<void>): void },
  options: TestServerOptions = {},
): Promise<TestServer> {
  const server = await testServer(options)
  t.teardown(() => server.close())
  await seed(server.store)
  await server.poll()
  return server
}

const requests = (endpoint: string, method: string, status: string) =>
  ['keyturn_http_request_duration_seconds_count', { endpoint, method, status }] as const

t.test('requests are counted by route, method and status class', async (t) => {
  const server = await started(t)
  await clientCredentials(server)
  await clientCredentials(server)
  await post(server, '/oauth2/token', { grant_type: 'client_credentials' })
  await server.inject({ url: '/.well-known/jwks.json' })
  await server.inject({ url: '/status-lists/7' })
  await server.inject({ url: '/status-lists/8' })
  await server.inject({ url: '/oauth2/authorize?client_id=nobody' })
  const { value } = await scrape(server)
  t.equal(value(...requests('/oauth2/token', 'POST', '2xx')), 2)
  t.equal(value(...requests('/oauth2/token', 'POST', '4xx')), 1)
  t.equal(value(...requests('/.well-known/jwks.json', 'GET', '2xx')), 1)
  t.equal(value(...requests('/status-lists/:number', 'GET', '4xx')), 2, 'the pattern, not the path')
  t.equal(value(...requests('/oauth2/authorize', 'GET', '4xx')), 1)
  const bucket = { endpoint: '/oauth2/token', method: 'POST', status: '2xx', le: '10' }
  t.equal(value('keyturn_http_request_duration_seconds_bucket', bucket), 2, 'and how long they took')
})

t.test('routes below an issuer path use the same labels, and all assets share one', async (t) => {
  const server = await started(t, { settings: { ISSUER: 'https://issuer.test/auth' } })
  await clientCredentials(server)
  await post(server, '/auth/oauth2/token', {})
  await server.inject({ url: '/.well-known/oauth-authorization-server/auth' })
  await server.inject({ url: '/auth/.well-known/openid-configuration' })
  for (const { path } of brandingOf(server.config).files) await server.inject({ url: `/auth${path}` })
  const { value, text } = await scrape(server)
  t.equal(value(...requests('/oauth2/token', 'POST', '4xx')), 1)
  t.equal(value(...requests('other', 'other', '4xx')), 1, 'a path outside the issuer')
  t.equal(value(...requests('/.well-known/oauth-authorization-server', 'GET', '2xx')), 1)
  t.equal(value(...requests('/.well-known/openid-configuration', 'GET', '2xx')), 1)
  t.equal(value(...requests('/assets', 'GET', '2xx')), brandingOf(server.config).files.length)
  t.notMatch(text, '/auth/')
})

t.test('issued tokens are counted by grant, starting from zero', async (t) => {
  const server = await started(t)
  const issued = async (grant: string) =>
    (await scrape(server)).value('keyturn_tokens_issued_total', { grant })
  t.equal(await issued('authorization_code'), 0)
  await clientCredentials(server)
  const { refresh_token: token } = (await login(server)).json()
  await refresh(server, token)
  await refresh(server, token)
  t.equal(await issued('client_credentials'), 1)
  t.equal(await issued('password'), 1)
  t.equal(await issued('refresh_token'), 2, 'a retry is counted as a token too')
  t.equal(await issued('authorization_code'), 0)
})

t.test('labels do not have the path of the issuer, with or without a slash at its end', async (t) => {
  const server = await started(t, { settings: { ISSUER: 'https://example.com/auth' } })
  for (const url of ['/auth', '/auth/', '/auth/.well-known/jwks.json', '/health/live'])
    await server.inject({ url })
  const { value } = await scrape(server)
  t.equal(value(...requests('/', 'GET', '3xx')), 2)
  t.equal(value(...requests('/.well-known/jwks.json', 'GET', '2xx')), 1)
  t.equal(value(...requests('/health/live', 'GET', '2xx')), 1)
})

t.test('errors are counted by endpoint and error code', async (t) => {
  const server = await started(t)
  const machine = { authorization: basic('machine') }
  await post(server, '/oauth2/token', { grant_type: 'nope' }, machine)
  const wrong = { authorization: basic('machine', 'wrong') }
  await post(server, '/oauth2/token', { grant_type: 'client_credentials' }, wrong)
  await post(server, '/oauth2/introspect', { token: ['a', 'b'] }, machine)
  await post(server, '/oauth2/revoke', {}, machine)
  await server.inject({ url: '/oauth2/userinfo', headers: { authorization: 'Bearer x' } })
  const { value } = await scrape(server)
  for (const [endpoint, error, count] of [
    ['/oauth2/token', 'unsupported_grant_type', 1],
    ['/oauth2/token', 'invalid_client', 1],
    ['/oauth2/introspect', 'invalid_request', 1],
    ['/oauth2/revoke', 'invalid_request', 1],
    ['/oauth2/userinfo', 'invalid_token', 1],
    ['/oauth2/token', 'server_error', 0],
  ] as const) {
    t.equal(value('keyturn_refusals_total', { endpoint, error }), count, `${endpoint} ${error}`)
  }
  t.equal(value('keyturn_audit_events_total', { event: 'client.authentication_failed' }), 1)
})

t.test('errors of every endpoint are counted', async (t) => {
  for (const { path, failureEvent } of protocolEndpoints) t.equal(REFUSALS[failureEvent], path)
  const others = AUDIT_EVENTS.filter((event) => event.endsWith('.refused') && !(event in REFUSALS))
  t.same(others, [])
})

t.test('every audit event is counted, starting from zero', async (t) => {
  const server = await started(t)
  await login(server)
  await login(server, { password: 'wrong' })
  await clientCredentials(server)
  const { value } = await scrape(server)
  for (const event of AUDIT_EVENTS) {
    t.equal(value('keyturn_audit_events_total', { event }), server.logger.audits(event).length, event)
  }
  t.equal(value('keyturn_audit_events_total', { event: 'login.failed' }), 1)
})

t.test('request input never becomes a label value or a new series', async (t) => {
  const server = await started(t)
  const send = async (mark: string) => {
    const form = { grant_type: mark, client_id: mark, scope: mark, token: mark, resource: `https://${mark}` }
    for (const { path } of protocolEndpoints) {
      await post(server, path, form)
      await post(server, path, form, { authorization: basic(mark, mark) })
      await post(server, `${path}/${mark}`, form)
      await post(server, `${path}?${mark}=1`, form)
      await server.inject({ url: path, headers: { authorization: `Bearer ${mark}` } })
    }
    await login(server, { username: mark })
    for (const method of ['GET', 'POST', 'DELETE', 'PATCH', 'QUERY', 'PROPFIND'] as const) {
      await server.inject({ method: method as 'GET', url: `/${mark}` })
      await server.inject({ method: method as 'GET', url: '/oauth2/token' })
    }
    await server.inject({
      url: `/oauth2/authorize?client_id=machine&redirect_uri=${mark}&response_type=${mark}`,
    })
    await server.inject({ url: `/%zz${mark}` })
    await server.inject({
      url: '/.well-known/jwks.json',
      headers: { 'keyturn-verifier': `${mark}; instance=a` },
    })
    await server.poll()
  }
  await send('m4rk-0')
  const first = await scrape(server)
  for (let i = 1; i < 4; i += 1) await send(`m4rk-${i}`)
  const last = await scrape(server)
  t.notMatch(last.text, 'm4rk')
  t.same(last.series, first.series, 'the same series, whatever was sent')
  t.ok((last.value(...requests('other', 'other', '4xx')) ?? 0) > 20)
})

t.test('the key ring metrics show age, version, next change and lagging nodes', async (t) => {
  const server = await started(t, { settings: { KEY_ROTATION: '10d', VERIFIER_CACHE: '1h' } })
  const ask = (name: string) =>
    server.inject({ url: '/.well-known/jwks.json', headers: { 'keyturn-verifier': `${name}; instance=a` } })
  for (const name of ['orders', 'stock']) await server.store.verifiers.expect(name, server.clock.now())
  server.clock.tick(7200)
  for (const name of ['orders', 'stock', 'unexpected']) await ask(name)
  await server.poll()
  const before = await scrape(server)
  t.equal(before.value('keyturn_ring_version'), 1)
  t.equal(before.value('keyturn_ring_published_keys'), 2)
  t.equal(before.value('keyturn_ring_active_age_seconds', { alg: 'RS256' }), 7200)
  t.equal(before.value('keyturn_ring_next_change_seconds'), 10 * 86_400 - 7200)
  t.equal(before.value('keyturn_verifiers', { state: 'behind' }), 0)
  t.equal(before.value('keyturn_verifiers', { state: 'current' }), 2)

  await rotateRing(server.deps.keys, { actor: 'operator:test' })
  await server.poll()
  await ask('orders')
  await server.poll()
  server.clock.tick(10)
  const after = await scrape(server)
  t.equal(after.value('keyturn_ring_version'), 2)
  t.equal(after.value('keyturn_ring_published_keys'), 3)
  t.equal(after.value('keyturn_ring_active_age_seconds', { alg: 'RS256' }), 10)
  t.equal(after.value('keyturn_verifiers', { state: 'behind' }), 1)
  t.equal(after.value('keyturn_verifiers', { state: 'current' }), 1)
  t.equal(after.value('keyturn_audit_events_total', { event: 'keys.rotated' }), 1)
})

t.test('a key ring without scheduled changes has no next-change metric', async (t) => {
  const server = await started(t, { settings: { KEY_ROTATION: 'off' } })
  const { value, types } = await scrape(server)
  t.equal(value('keyturn_ring_next_change_seconds'), undefined)
  t.ok(types.has('keyturn_ring_next_change_seconds'))
})

t.test('password hashing metrics show running, waiting and refused work', async (t) => {
  // Quick hashes would be done before the next request comes.
  hashAtRealCost(t)
  const server = await started(t, { hashingLimits: { running: 1, waiting: 1 } })
  const logins = [1, 2, 3, 4].map((i) => login(server, { username: `nobody-${i}` }))
  // The counter is read when two were refused, while the other two are still running.
  let seen = await scrape(server)
  while (seen.value('keyturn_password_hashes_refused_total') !== 2) {
    await turn()
    seen = await scrape(server)
  }
  t.ok((seen.value('keyturn_password_hashes_running') ?? 0) <= 1)
  await Promise.all(logins)
  const { value } = await scrape(server)
  t.equal(value('keyturn_password_hashes_running'), 0)
  t.equal(value('keyturn_password_hashes_waiting'), 0)
  t.equal(value('keyturn_password_hashes_refused_total'), 2)
  const busy = { endpoint: '/oauth2/token', error: 'temporarily_unavailable' }
  t.equal(value('keyturn_refusals_total', busy), 2)
})

t.test('status lists and waiting logout notifications are measured', async (t) => {
  const server = await started(t)
  const { access_token: token } = (await clientCredentials(server)).json()
  await post(server, '/oauth2/revoke', { token }, { authorization: basic('machine') })
  await server.poll()
  t.equal((await scrape(server)).value('keyturn_status_lists'), 0, 'none is requested')
  const { uri } = (claimsOf(token).status as { status_list: { uri: string } }).status_list
  const list = await server.inject({ url: new URL(uri).pathname })
  t.equal(list.statusCode, 200)
  const [alice] = await server.store.users.page(null, 1000)
  const about = { clientId: 'app', userId: alice?.id ?? '', backchannelLogout: true }
  await server.store.clientSessions.insert(session({ id: 'ended', ...about }))
  await server.store.clientSessions.revoke('ended', server.clock.now(), 'signed out')
  const { value } = await scrape(server)
  t.equal(value('keyturn_status_lists'), 1)
  t.equal(value('keyturn_status_list_bytes'), list.body.length)
  t.equal(value('keyturn_logout_outbox_waiting'), 1)
})

t.test('store operations are timed by verb, and failures are counted', async (t) => {
  const server = await started(t, { skipAuditCheck: 'SQLite stays read-only' })
  const count = async (verb: string) =>
    (await scrape(server)).value('keyturn_store_duration_seconds_count', { verb }) ?? 0
  const [queries, batches] = [await count('query'), await count('batch')]
  await login(server)
  t.ok((await count('query')) > queries)
  t.ok((await count('batch')) > batches)
  t.equal((await scrape(server)).value('keyturn_ready'), 1)
  const failed = { verb: 'batch', kind: 'unavailable' }
  t.equal((await scrape(server)).value('keyturn_store_failures_total', failed), 0)

  const allow = await forbidWriting(server.store, { url: server.config.databaseUrl })
  t.equal((await login(server)).statusCode, 503)
  const during = await scrape(server)
  t.ok((during.value('keyturn_store_failures_total', failed) ?? 0) > 0)
  t.equal(during.value('keyturn_ready'), 0)
  await allow()
})

t.test('the connection pool is measured on PostgreSQL', async (t) => {
  const server = await started(t)
  const { value } = await scrape(server)
  const connections = (state: string) => value('keyturn_store_connections', { state })
  if (ENGINE === 'SQLite') {
    t.same([connections('idle'), value('keyturn_store_connections_max')], [undefined, undefined])
    return
  }
  t.equal(value('keyturn_store_connections_max'), server.config.databasePool)
  const open = (connections('idle') ?? 0) + (connections('busy') ?? 0)
  t.ok(open >= 1 && open <= server.config.databasePool)
  t.equal(value('keyturn_store_connections_waiting'), 0)
})

t.test('without the store the other metrics remain, and no stale value is shown', async (t) => {
  const server = await started(t, { skipAuditCheck: 'the store is closed' })
  t.equal((await scrape(server)).value('keyturn_logout_outbox_waiting'), 0)
  await server.store.db.close()
  const { value } = await scrape(server)
  t.equal(value('keyturn_ready'), 0)
  t.equal(value('keyturn_logout_outbox_waiting'), undefined)
  t.equal(value('keyturn_verifiers', { state: 'behind' }), undefined)
  t.equal(value('keyturn_ring_version'), 1)
})

t.test('an unresponsive store does not delay the scrape', async (t) => {
  const server = await started(t)
  Object.assign(server.store.verifiers, { list: () => new Promise(() => {}) })
  const { value } = await scrape(server)
  t.equal(value('keyturn_verifiers', { state: 'behind' }), undefined)
  t.equal(value('keyturn_ready'), 1)
})

const LOCAL = { ISSUER: 'http://localhost:3000' }

t.test('on the main port only direct requests from this machine may read metrics', async (t) => {
  const server = await started(t, { settings: LOCAL })
  const status = async (remoteAddress: string, headers: Record<string, string> = {}) =>
    (await server.inject({ url: '/metrics', remoteAddress, headers })).statusCode
  const answer = await server.inject({ url: '/metrics' })
  t.match(answer.headers['content-type'], /^text\/plain; version=0\.0\.4/)
  t.equal(answer.headers['cache-control'], 'no-store')
  t.match(answer.body, 'keyturn_info{version=')
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) {
    t.equal(await status(address), 200, address)
  }
  for (const address of ['10.0.0.1', '192.168.1.1', '203.0.113.9', 'fe80::1', '::ffff:10.0.0.1']) {
    t.equal(await status(address), 403, address)
  }
  t.equal(await status('127.0.0.1', { 'x-forwarded-for': '127.0.0.1' }), 403)
  t.equal(await status('127.0.0.1', { forwarded: 'for=127.0.0.1' }), 403)
})

t.test(
  'a site whose name points to this machine cannot read the metrics: a Host other than loopback gets 421 (RFC 9110 §15.5.20; docs/security.md U1)',
  async (t) => {
    const server = await started(t, { settings: LOCAL })
    const metricsApp = (localOnly: boolean) => {
      const app = createMetricsApp({ metrics: server.metrics, localOnly, logger: server.logger as never })
      t.teardown(() => app.close())
      return { inject: (options: InjectOptions) => app.inject(options) }
    }
    const separate = metricsApp(true)
    const elsewhere = metricsApp(false)
    const statusOf = async ({ inject }: { inject: TestServer['inject'] }, host: string) =>
      (await inject({ url: '/metrics', headers: { host } })).statusCode
    for (const app of [server, separate]) {
      for (const host of ['localhost', 'localhost:3000', 'LOCALHOST', '127.0.0.1:9464', '[::1]:3000'])
        t.equal(await statusOf(app, host), 200, host)
      for (const host of [
        'attacker.example',
        'attacker.example:3000',
        'localhost.attacker.example',
        '127.0.0.1.attacker.example',
        'localhost:3000@attacker.example',
        '10.0.0.1',
        'not a host',
      ])
        t.equal(await statusOf(app, host), 421, host)
    }
    t.equal(
      await statusOf(elsewhere, 'keyturn-node-a:9464'),
      200,
      'a port for other machines has other names',
    )
  },
)

t.test('a server that listens for other machines has no metrics on its main port', async (t) => {
  const elsewhere = await started(t)
  t.equal((await elsewhere.inject({ url: '/metrics' })).statusCode, 404)
  const onItsOwn = await started(t, { settings: { ...LOCAL, METRICS_PORT: '9464' } })
  t.equal((await onItsOwn.inject({ url: '/metrics' })).statusCode, 404)
})

t.test('the separate metrics port serves metrics and nothing else', async (t) => {
  const server = await started(t)
  const app = createMetricsApp({
    metrics: server.metrics,
    localOnly: false,
    logger: server.logger as never,
  })
  t.teardown(() => app.close())
  const answer = await app.inject({ url: '/metrics', remoteAddress: '10.0.0.1' })
  t.equal(answer.statusCode, 200)
  t.match(answer.body, 'keyturn_ring_version 1')
  t.equal((await app.inject({ method: 'POST', url: '/metrics' })).statusCode, 405)
  for (const url of ['/', '/oauth2/token', '/.well-known/jwks.json', '/health/live']) {
    t.equal((await app.inject({ url })).statusCode, 404, url)
  }
})
