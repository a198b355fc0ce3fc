import { setTimeout as wait } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { hashPassword } from '../../src/accounts/password.ts'
import { brandingOf } from '../../src/http/app-parts.ts'
import { rotateRing } from '../../src/keys/rotate.ts'
import { createFetchJwks } from '../../src/oauth/client-auth/fetch-jwks.ts'
import { createSendLogoutToken } from '../../src/oauth/logout/send-logout-token.ts'
import { describeSql } from '../../src/tracing/trace-store.ts'
import { untraced } from '../../src/tracing/tracing.ts'
import { openBrowser } from '../support/browser/browser.ts'
import { redeem, seedUsers, signIn } from '../support/browser/sign-in.ts'
import { freePort } from '../support/server/free-port.ts'
import { asserting, assertion, clientKey } from '../support/server/jws.ts'
import { type Collector, collector, type SeenSpan, tracingTo } from '../support/server/otlp.ts'
import { hashAtRealCost } from '../support/server/quick-hashing.ts'
import { relyingParty } from '../support/server/relying-party.ts'
import { basic, clientCredentials, login, post, refresh } from '../support/server/requests.ts'
import { client, PASSWORD, SECRET, seed, user } from '../support/server/seed.ts'
import { ISSUER, type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'
import { revoke } from '../support/server/tokens.ts'
import { HANG_MS } from '../support/server/waiting.ts'

interface World {
  readonly server: TestServer
  readonly otlp: Collector
  /** All spans so far. */
  spans(): Promise<SeenSpan[]>
}

/** A server with a collector. @param env variables of OpenTelemetry */
async function started(
  t: Test,
  env: Record<string, string> = {},
  options: TestServerOptions = {},
): Promise<World> {
  const otlp = await collector(t)
  const tracing = tracingTo(otlp.url, { OTEL_BSP_SCHEDULE_DELAY: '600000', ...env })
  const server = await testServer({ tracing, ...options })
  let closed = false
  const close = async () => {
    if (closed) return
    closed = true
    await server.close()
    await tracing.stop()
  }
  t.teardown(close)
  await seed(server.store)
  await server.poll()
  return {
    server,
    otlp,
    async spans() {
      await close()
      return otlp.spans()
    },
  }
}

const ofServer = (spans: readonly SeenSpan[]) => spans.filter(({ kind }) => kind === 2)
const childrenOf = (spans: readonly SeenSpan[], { spanId }: SeenSpan) =>
  spans.filter(({ parentSpanId }) => parentSpanId === spanId)
const names = (spans: readonly SeenSpan[]) => spans.map(({ name }) => name)
const called = (spans: readonly SeenSpan[], name: string): SeenSpan => {
  const found = spans.find((span) => span.name === name)
  if (!found) throw new Error(`no ${name} among ${names(spans)}`)
  return found
}

t.test(
  'a request is a span named by the OpenTelemetry conventions, with child spans for its slow parts',
  async (t) => {
    const { server, spans } = await started(t)
    await clientCredentials(server)
    await clientCredentials(server)
    const all = await spans()
    const [first, second] = ofServer(all)
    if (!first || !second) throw new Error('two requests')
    t.equal(ofServer(all).length, 2)
    t.not(first.traceId, second.traceId)
    t.match(second, {
      name: 'POST /oauth2/token',
      parentSpanId: '',
      status: 0,
      events: ['token.issued'],
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/oauth2/token',
        'http.response.status_code': 200,
        'url.scheme': 'https',
        'server.address': 'issuer.test',
        'keyturn.client_id': 'machine',
        'keyturn.grant_type': 'client_credentials',
        'keyturn.request_id': server.logger.audits('token.issued')[1]?.request_id,
      },
    })
    const sign = called(childrenOf(all, second), 'sign at+jwt')
    t.equal(sign.kind, 1)
    // The first token of a key’s minute is recorded before it is signed.
    const cover = called(childrenOf(all, called(childrenOf(all, first), 'sign at+jwt')), 'UPDATE ring_keys')
    t.match(cover, {
      kind: 3,
      attributes: {
        'db.system.name': 'sqlite',
        'db.operation.name': 'UPDATE',
        'db.collection.name': 'ring_keys',
      },
    })
    for (const span of all) {
      t.ok(span.start > 0n && span.end >= span.start)
      const parent = all.find(({ spanId }) => spanId === span.parentSpanId)
      if (parent) t.ok(span.traceId === parent.traceId && span.start >= parent.start, span.name)
    }
    t.same(first.resource, {
      'service.name': 'keyturn',
      'service.version': first.resource['service.version'],
      'service.instance.id': 'here:7',
      'telemetry.sdk.language': 'nodejs',
      'telemetry.sdk.name': 'opentelemetry',
      'telemetry.sdk.version': first.resource['telemetry.sdk.version'],
    })
  },
)

t.test('a request of the administration is one span, with the request id of its audit event', async (t) => {
  const { server, spans } = await started(t)
  await server.inject({ url: '/admin/v1/roles/clerk', headers: { authorization: 'Bearer x' } })
  const [refused] = server.logger.audits('administration.refused')
  t.match(ofServer(await spans()), [
    {
      name: 'GET /admin/v1/*',
      events: ['administration.refused'],
      attributes: { 'http.response.status_code': 401, 'keyturn.request_id': refused?.request_id },
    },
  ])
  t.ok(refused?.request_id)
})

t.test('concurrent requests do not mix their spans', async (t) => {
  const { server, spans } = await started(t)
  const { refresh_token: token } = (await login(server)).json()
  await Promise.all([
    ...Array.from({ length: 20 }, () => clientCredentials(server)),
    ...Array.from({ length: 10 }, () => refresh(server, token)),
  ])
  const all = await spans()
  t.equal(ofServer(all).length, 31)
  t.equal(new Set(ofServer(all).map(({ traceId }) => traceId)).size, 31)
  for (const request of ofServer(all)) {
    const ownSpans = all.filter(({ traceId }) => traceId === request.traceId)
    t.equal(ownSpans.filter(({ name }) => name === 'sign at+jwt').length, 1)
    for (const span of ownSpans) {
      t.ok(span === request || ownSpans.some(({ spanId }) => spanId === span.parentSpanId), span.name)
    }
    if (request.attributes['keyturn.grant_type'] === 'refresh_token') {
      t.ok(
        names(ownSpans).includes('SELECT client_sessions'),
        'and it belongs to the trace of the request that caused it',
      )
    }
  }
})

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const CALLER = 'b7ad6b7169203331'

t.test('the caller’s trace context is continued (W3C Trace Context §3.2)', async (t) => {
  const { server, spans } = await started(t)
  const requestWith = (traceparent: string) =>
    server.inject({ url: '/.well-known/jwks.json', headers: { traceparent, tracestate: 'vendor=hush-hush' } })
  await requestWith(`00-${TRACE}-${CALLER}-01`)
  await requestWith(`cc-${TRACE}-${CALLER}-01-what-will-be-in-the-future`)
  const bad = [
    `00-${TRACE}-${CALLER}-01-more`,
    `00-${TRACE.toUpperCase()}-${CALLER}-01`,
    `00-${'0'.repeat(32)}-${CALLER}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `ff-${TRACE}-${CALLER}-01`,
    `00-${TRACE}-${CALLER}`,
    `00-${TRACE}-${CALLER}-01, 00-${TRACE}-${CALLER}-01`,
    'nonsense',
    '',
  ]
  for (const traceparent of bad) await requestWith(traceparent)
  const all = ofServer(await spans())
  t.equal(all.length, 2 + bad.length)
  for (const span of all.slice(0, 2)) t.match(span, { traceId: TRACE, parentSpanId: CALLER })
  for (const span of all.slice(2)) {
    t.equal(span.parentSpanId, '')
    t.not(span.traceId, TRACE)
  }
})

t.test(
  'what a stranger sends as trace context does not decide whether its request is recorded (W3C Trace Context §7; docs/security.md U2)',
  async (t) => {
    const LOWEST = `${'0'.repeat(31)}1`
    const HIGHEST = 'f'.repeat(32)
    const requests = async (env: Record<string, string>) => {
      const { server, spans } = await started(t, env)
      for (const id of [TRACE, LOWEST, HIGHEST]) {
        for (const flags of ['00', '01']) {
          for (let i = 0; i < 10; i += 1) {
            const headers = { traceparent: `00-${id}-${CALLER}-${flags}` }
            await server.inject({ url: '/.well-known/jwks.json', headers })
          }
        }
      }
      return ofServer(await spans())
    }
    t.equal((await requests({})).length, 60, 'by default, every request is recorded')
    t.equal((await requests({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' })).length, 0)
    for (const OTEL_TRACES_SAMPLER of ['traceidratio', 'parentbased_traceidratio']) {
      const half = await requests({ OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG: '0.5' })
      for (const id of [LOWEST, HIGHEST]) {
        const recorded = half.filter(({ traceId }) => traceId === id).length
        t.ok(
          recorded > 0 && recorded < 20,
          `${OTEL_TRACES_SAMPLER}: ${recorded} of 20 with the trace id ${id}`,
        )
      }
    }
  },
)

t.test(
  'trusted callers decide: an unsampled trace is not exported, and its id is still logged',
  async (t) => {
    const { server, spans } = await started(t, { OTEL_PROPAGATORS: 'tracecontext' })
    const headers = { traceparent: `00-${TRACE}-${CALLER}-00`, authorization: basic('machine') }
    await post(server, '/oauth2/token', { grant_type: 'client_credentials' }, headers)
    t.match(server.logger.audits('token.issued')[0], { trace_id: TRACE })
    t.same(await spans(), [])
  },
)

t.test('the trace context of callers is ignored if OTEL_PROPAGATORS or the sampler says so', async (t) => {
  for (const env of [{ OTEL_PROPAGATORS: 'none' }, { OTEL_TRACES_SAMPLER: 'always_on' }]) {
    const { server, spans } = await started(t, env)
    const headers = { traceparent: `00-${TRACE}-${CALLER}-00` }
    await server.inject({ url: '/.well-known/jwks.json', headers })
    const [span] = await spans()
    t.equal(span?.name, 'GET /.well-known/jwks.json')
    t.equal(span?.traceId === TRACE, 'OTEL_TRACES_SAMPLER' in env)
  }
})

t.test('a sampler keeps traces completely or not at all', async (t) => {
  const none = await started(t, { OTEL_TRACES_SAMPLER: 'always_off' })
  await clientCredentials(none.server)
  t.same(await none.spans(), [])

  const env = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.5' }
  const some = await started(t, env)
  for (let i = 0; i < 30; i += 1) await clientCredentials(some.server)
  const all = await some.spans()
  t.ok(ofServer(all).length > 0 && ofServer(all).length < 30, String(ofServer(all).length))
  for (const request of ofServer(all)) t.ok(names(childrenOf(all, request)).includes('sign at+jwt'))
  t.equal(names(all).filter((name) => name === 'sign at+jwt').length, ofServer(all).length)
})

t.test('a refused request is not a span error and records the OAuth error code', async (t) => {
  const { server, spans } = await started(t)
  const wrong = { authorization: basic('machine', 'wrong') }
  await post(server, '/oauth2/token', { grant_type: 'client_credentials' }, wrong)
  await post(server, '/oauth2/token', { grant_type: 'nonsense' }, { authorization: basic('machine') })
  await login(server, { password: 'wrong' })
  await post(server, '/oauth2/introspect', {}, { authorization: basic('machine') })
  await server.inject({ url: '/oauth2/authorize?client_id=nobody' })
  const seen = ofServer(await spans()).map(({ name, status, attributes, events }) => [
    name,
    status,
    attributes['http.response.status_code'],
    attributes['keyturn.error'],
    attributes['keyturn.client_id'],
    events,
  ])
  const refused = ['token.refused']
  const unknown = ['client.authentication_failed', 'token.refused']
  t.same(seen, [
    ['POST /oauth2/token', 0, 401, 'invalid_client', 'machine', unknown],
    ['POST /oauth2/token', 0, 400, 'unsupported_grant_type', 'machine', refused],
    ['POST /oauth2/token', 0, 400, 'invalid_grant', 'app', ['login.failed', 'token.refused']],
    ['POST /oauth2/introspect', 0, 400, 'invalid_request', 'machine', ['introspection.refused']],
    ['GET /oauth2/authorize', 0, 400, undefined, undefined, []],
  ])
})

t.test('a failing store marks its span and the request span as errors', async (t) => {
  const { server, spans } = await started(t, {}, { skipAuditCheck: 'the store is gone' })
  const { refresh_token: token } = (await login(server)).json()
  await server.store.db.close()
  t.equal((await refresh(server, token)).statusCode, 503)
  const all = await spans()
  const failed = all.filter(({ status }) => status === 2)
  const [query, request] = failed
  t.same(names(failed), ['SELECT client_sessions', 'POST /oauth2/token'])
  t.equal(query?.attributes['error.type'], 'store_unavailable')
  t.match(request?.attributes, { 'error.type': '503', 'keyturn.error': 'store_unavailable' })
})

t.test('a span is named by its route, never by its path', async (t) => {
  const { server, spans } = await started(t, {}, { settings: { ISSUER: 'https://issuer.test/auth' } })
  const asset = brandingOf(server.config).files[0]?.path ?? ''
  for (const [method, url] of [
    ['GET', '/auth/status-lists/77?token=hush-hush'],
    ['GET', `/auth${asset}`],
    ['GET', '/.well-known/oauth-authorization-server/auth'],
    ['GET', '/auth/hush-hush'],
    ['DELETE', '/auth/oauth2/token'],
    ['PROPFIND', '/auth/hush-hush'],
    ['GET', '/health/live'],
    ['GET', '/health/ready'],
  ] as const) {
    await server.inject({ method: method as 'GET', url })
  }
  t.same(
    ofServer(await spans()).map(({ name, attributes }) => [name, attributes['http.request.method']]),
    [
      ['GET /status-lists/:number', 'GET'],
      ['GET /assets', 'GET'],
      ['GET /.well-known/oauth-authorization-server', 'GET'],
      ['GET', 'GET'],
      ['DELETE', 'DELETE'],
      ['HTTP', '_OTHER'],
    ],
  )
})

t.test('password hashing and its waiting time have spans', async (t) => {
  // Quick hashes would be done before the next request comes.
  hashAtRealCost(t)
  const { server, spans } = await started(t, {}, { hashingLimits: { running: 1, waiting: 1 } })
  const passwordHash = await hashPassword('another password')
  const names = ['ann', 'ben', 'cleo']
  for (const username of names) await server.store.users.insert(await user({ username, passwordHash }))
  const answers = await Promise.all(names.map((username) => login(server, { username })))
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [400, 400, 503])
  const all = await spans()
  const of = (name: string) => all.filter((span) => span.name === name)
  t.equal(of('password work').length, 2)
  const [refused, waited] = of('password queue').sort((a, b) => b.status - a.status)
  t.equal(of('password queue').length, 2, 'the first one did not wait')
  t.match(refused, { status: 2, attributes: { 'error.type': 'overloaded' } })
  const work = of('password work').find(({ traceId }) => traceId === waited?.traceId)
  t.equal(waited?.status, 0)
  t.ok(work && waited && work.start >= waited.start && work.end > waited.end, 'first the wait, then the work')
})

t.test('a browser sign-in has one trace per page, and the token request has its own', async (t) => {
  const otlp = await collector(t)
  const tracing = tracingTo(otlp.url)
  const server = await testServer({ tracing })
  t.teardown(() => server.close())
  await seedUsers(server.store)
  await server.poll()
  const { code } = await signIn(openBrowser(server))
  t.equal((await redeem(server, code)).statusCode, 200)
  await tracing.stop()
  const all = otlp.spans()
  const pages = names(ofServer(all))
  for (const name of ['GET /oauth2/authorize', 'POST /login', 'POST /oauth2/token']) {
    t.ok(pages.includes(name), name)
  }
  t.ok(names(childrenOf(all, called(all, 'POST /login'))).includes('password work'))
  t.ok(called(all, 'POST /login').events.includes('user_session.started'))
  t.match(called(all, 'POST /oauth2/token').attributes, { 'keyturn.grant_type': 'authorization_code' })
})

t.test('outbound calls to clients have spans and send no trace headers', async (t) => {
  const key = clientKey('ES256')
  const rp = await relyingParty(t, (response, path) =>
    response.end(path.startsWith('/jwks') ? JSON.stringify({ keys: [key.jwk] }) : ''),
  )
  const { port, origin } = new URL(rp.uri)
  const limits = { milliseconds: HANG_MS, bytes: 65_536 }
  const real = { fetchJwks: createFetchJwks(limits), sendLogoutToken: createSendLogoutToken(limits) }
  const { server, spans } = await started(t, {}, real)
  await server.store.clients.insert(
    client({ id: 'remote', authMethod: 'private_key_jwt', jwksUri: `${origin}/jwks?key=hush-hush` }),
  )
  const unusedPort = await freePort()
  const gone = { jwksUri: `http://127.0.0.1:${unusedPort}/jwks` }
  await server.store.clients.insert(client({ id: 'gone', authMethod: 'private_key_jwt', ...gone }))
  const grants = ['password', 'refresh_token']
  await server.store.clients.insert(client({ id: 'web', grants, backchannelLogoutUri: rp.uri }))
  for (const id of ['remote', 'gone']) {
    const text = assertion({ client: id, key, audience: ISSUER, now: server.clock.now() })
    await post(server, '/oauth2/token', { grant_type: 'client_credentials', ...asserting(text) })
  }
  const { refresh_token: token } = (await login(server, {}, 'web')).json()
  await revoke(server, token, 'web')
  await server.poll()
  while (server.logger.audits('logout_token.delivered').length === 0) await wait(5)
  t.equal(rp.received.length, 2)
  for (const { headers } of rp.received) {
    t.notOk('traceparent' in headers || 'tracestate' in headers || 'baggage' in headers)
  }
  const all = await spans()
  const [fetched, failed] = all.filter(({ name }) => name === 'GET jwks_uri')
  const where = { 'server.address': '127.0.0.1', 'server.port': Number(port) }
  t.match(fetched, { kind: 3, status: 0, attributes: { ...where, 'http.request.method': 'GET' } })
  t.ok(all.some(({ spanId, kind }) => spanId === fetched?.parentSpanId && kind === 2))
  t.match(failed, { status: 2, attributes: { 'server.port': unusedPort, 'error.type': 'ECONNREFUSED' } })
  const logoutSpan = called(all, 'POST backchannel_logout_uri')
  t.match(logoutSpan, { kind: 3, status: 0, parentSpanId: '', attributes: where })
})

t.test('a background job has a trace if it did any work', async (t) => {
  const { server, spans } = await started(t, {}, { settings: { KEY_ROTATION: '10d', VERIFIER_CACHE: '1h' } })
  for (let i = 0; i < 5; i += 1) await server.poll()
  await server.deps.jobs.prune()
  server.clock.tick(11 * 86_400)
  await server.poll()
  const all = await spans()
  const tops = all.filter(({ parentSpanId }) => parentSpanId === '')
  t.same(names(tops), ['prune', 'maintain keys'], 'and polling alone has none')
  const [prune, maintain] = tops
  if (!prune || !maintain) return
  t.ok(names(childrenOf(all, prune)).some((name) => /sessions/.test(name)))
  t.ok(names(childrenOf(all, maintain)).some((name) => /UPDATE ring/.test(name)))
  t.ok(maintain.events.includes('keys.rotated'))
  t.ok(childrenOf(all, maintain).every(({ start }) => start >= maintain.start))
})

t.test('a failing background job has an error span', async (t) => {
  const { server, spans } = await started(t)
  server.deps.keys.masterKeys.privateKeys.decrypt = () => {
    throw new TypeError('a broken cipher')
  }
  server.clock.tick(40 * 86_400)
  await t.rejects(server.deps.jobs.maintainKeys())
  const failed = called(await spans(), 'maintain keys')
  t.match(failed, { status: 2, attributes: { 'error.type': 'TypeError' } })
})

t.test('log lines of a request contain its trace id, and others contain none', async (t) => {
  const { server, spans } = await started(t)
  await clientCredentials(server)
  await post(server, '/oauth2/token', { grant_type: 'x'.repeat(70_000) })
  await server.inject({ method: 'POST', url: '/oauth2/token', payload: '{}' })
  await login(server, { password: 'wrong' })
  await rotateRing(server.deps.keys, { actor: 'operator:test', force: true })
  const requests = ofServer(await spans())
  const ofRequests = server.logger.lines.filter(({ fields }) => 'request_id' in fields)
  t.ok(ofRequests.length >= 8, 'of the log and of the audit trail')
  for (const { fields } of ofRequests) {
    const request = requests.find((span) => span.attributes['keyturn.request_id'] === fields.request_id)
    t.equal(fields.trace_id, request?.traceId, String(fields.audit))
    t.match(String(fields.span_id), /^[0-9a-f]{16}$/)
  }
  t.notOk('trace_id' in (server.logger.audits('keys.rotated')[0] ?? { trace_id: '' }))
})

t.test('no request input appears in a span', async (t) => {
  const mark = 'hush-hush'
  const { server, otlp, spans } = await started(t)
  const { refresh_token, access_token } = (await login(server)).json()
  const traceparent = `00-${TRACE}-${CALLER}-01`
  const headers = {
    'user-agent': mark,
    accept: mark,
    cookie: `${mark}=${mark}`,
    'x-forwarded-for': mark,
    'x-forwarded-host': mark,
    host: `${mark}.test`,
    tracestate: `a=${mark}`,
    baggage: `a=${mark}`,
    traceparent,
  }
  const form = { grant_type: mark, client_id: mark, token: mark, username: mark, code: mark, state: mark }
  for (const url of ['/oauth2/token', '/oauth2/revoke', '/oauth2/introspect', '/oauth2/par', '/login']) {
    await post(server, url, form, headers)
    await post(server, `${url}?${mark}=${mark}`, form, { ...headers, authorization: basic(mark, mark) })
    await post(server, `${url}/${mark}`, form, headers)
    await server.inject({ url, headers: { ...headers, authorization: `Bearer ${mark}` } })
  }
  const query = `client_id=${mark}&state=${mark}&redirect_uri=https://${mark}.test`
  await server.inject({ url: `/oauth2/authorize?${query}`, headers })
  await login(server, { username: mark })
  await login(server, { password: mark })
  await post(server, '/oauth2/introspect', { token: access_token }, { authorization: basic('machine') })
  await server.inject({ url: '/oauth2/userinfo', headers: { authorization: `Bearer ${access_token}` } })
  t.ok(ofServer(await spans()).length > 20)
  const bytes = Buffer.concat(otlp.delivered.map(({ body }) => body)).toString('latin1')
  const sub = server.logger.audits('login.succeeded')[0]?.sub ?? ''
  for (const secret of [mark, SECRET, PASSWORD, 'alice', sub, refresh_token, access_token, '127.0.0.1']) {
    t.equal(bytes.indexOf(secret), -1, secret)
  }
  t.ok(sub.length > 10)
})

t.test('database spans are named by verb and table', async (t) => {
  for (const [sql, verb, table] of [
    ['SELECT a, (SELECT max(b) FROM inner_one) FROM outer_one', 'SELECT', 'inner_one'],
    ['  insert into a_b (c) values ($1)', 'INSERT', 'a_b'],
    ['UPDATE users SET x = $1', 'UPDATE', 'users'],
    ['DELETE FROM authorization_codes WHERE hash = $1', 'DELETE', 'authorization_codes'],
    ['SELECT 1', 'SELECT', ''],
  ] as const) {
    t.same(describeSql(sql), { verb, table })
  }
})

t.test('without tracing nothing is wrapped', async (t) => {
  for (const wrap of Object.values(untraced) as ((part: unknown) => unknown)[]) {
    const part = {}
    t.equal(wrap(part), part)
  }
})
