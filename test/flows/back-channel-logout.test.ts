import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { createLocalJWKSet, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import {
  MAX_DELIVERIES,
  MAX_DELIVERIES_PER_CLIENT,
  MAX_DELIVERIES_TO_FAILING,
} from '../../src/oauth/logout/logout-outbox.ts'
import { createSendLogoutToken } from '../../src/oauth/logout/send-logout-token.ts'
import { session } from '../contracts/client-sessions.ts'
import { testClock } from '../support/server/clock.ts'
import { freePort } from '../support/server/free-port.ts'
import { answers, hangs, type RelyingParty, relyingParty } from '../support/server/relying-party.ts'
import { claimsOf } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import { ISSUER, type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'
import { revoke, signedIn } from '../support/server/tokens.ts'
import { HANG_MS } from '../support/server/waiting.ts'

/** No test waits for the time limit: a client that hangs does so until its test ends. */
const sendLogoutToken = createSendLogoutToken({ milliseconds: HANG_MS })
const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

async function start(t: Test, options: TestServerOptions = {}): Promise<TestServer> {
  const server = await testServer({ sendLogoutToken, ...options })
  t.teardown(() => server.close())
  return server
}

async function register(server: TestServer, id: string, backchannelLogoutUri: string | null): Promise<void> {
  const grants = ['password', 'refresh_token']
  await server.store.clients.insert(client({ id, grants, backchannelLogoutUri }))
}

/** A user signs in at the client and out again; returns the session’s id. */
async function signOut(server: TestServer, as: string): Promise<string> {
  const { access_token, refresh_token } = await signedIn(server, {}, as)
  await revoke(server, refresh_token, as)
  return String(claimsOf(access_token).sid)
}

/** Real servers respond when they do; the test’s clock stands still meanwhile. The runner ends a test that hangs. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}

const notified = (server: TestServer) => server.logger.audits('logout_token.delivered').map(({ sid }) => sid)
const failed = (server: TestServer) => server.logger.audits('logout_token.failed').map(({ sid }) => sid)
const tried = (server: TestServer) =>
  server.logger.lines.filter(({ message }) => message?.includes('logout token not delivered, will retry'))
    .length
const waiting = async (server: TestServer) => (await server.store.logoutOutbox.due(9e9, 99)).length
const tokenOf = (rp: RelyingParty, n = 0) => rp.received[n]?.form.get('logout_token') ?? ''

t.test(
  'a client is notified when its session ends, with a logout token it can verify (Back-Channel Logout §2.4; docs/security.md N149)',
  async (t) => {
    const server = await start(t)
    const { alice } = await seed(server.store)
    const rp = await relyingParty(t)
    await register(server, 'web', rp.uri)
    await register(server, 'quiet', null)
    const sid = await signOut(server, 'web')
    await signOut(server, 'quiet')
    await server.poll()
    await until(() => notified(server).length === 1)
    t.same(notified(server), [sid])
    t.equal(rp.received.length, 1)
    t.equal(rp.received[0]?.method, 'POST')
    t.match(rp.received[0]?.headers['content-type'], /^application\/x-www-form-urlencoded/)
    t.same([...(rp.received[0]?.form.keys() ?? [])], ['logout_token'])

    const jwks = (await server.inject({ method: 'GET', url: '/.well-known/jwks.json' })).json()
    const { payload, protectedHeader } = await jwtVerify(tokenOf(rp), createLocalJWKSet(jwks), {
      issuer: ISSUER,
      audience: 'web',
      typ: 'logout+jwt',
      algorithms: ['RS256'],
      currentDate: new Date(server.clock.now() * 1000),
    })
    t.ok(protectedHeader.kid)
    const { jti, ...claims } = payload
    t.match(jti, /^[\w-]{20,}$/)
    const now = server.clock.now()
    const expected = { iss: ISSUER, aud: 'web', sub: alice.id, sid, iat: now, exp: now + 120 }
    t.same(claims, { ...expected, events: { [EVENT]: {} } }, 'no nonce and nothing else')

    await server.poll()
    server.clock.tick(86_400)
    await server.poll()
    t.equal(rp.received.length, 1, 'once')
    t.equal(await waiting(server), 0)
  },
)

t.test('a logout token is accepted nowhere else (RFC 8725 §3.12)', async (t) => {
  const server = await start(t)
  await seed(server.store)
  const rp = await relyingParty(t)
  await register(server, 'web', rp.uri)
  await signOut(server, 'web')
  await server.poll()
  await until(() => notified(server).length === 1)
  const headers = { authorization: `Bearer ${tokenOf(rp)}` }
  t.equal((await server.inject({ method: 'GET', url: '/oauth2/userinfo', headers })).statusCode, 401)
})

t.test(
  'only 200 and 204 count as delivered, and only 429, 5xx and network errors are tried again (Back-Channel Logout §2.8; docs/security.md N151)',
  async (t) => {
    const server = await start(t)
    await seed(server.store)
    const endless = await relyingParty(t, (response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write('x'.repeat(65_536)), 1)
      response.on('close', () => clearInterval(timer))
    })
    const done = { 200: answers(200), 204: answers(204) }
    const failures = {
      429: answers(429),
      500: answers(500),
      502: answers(502),
      503: answers(503),
      'no HTTP': (response: ServerResponse) => response.socket?.end('HELO\r\n'),
      'hung up': (response: ServerResponse) => response.socket?.destroy(),
    }
    const sids: string[] = []
    for (const [name, behave] of Object.entries(done)) {
      await register(server, name, (await relyingParty(t, behave)).uri)
      sids.push(await signOut(server, name))
    }
    const refusals = [201, 202, 301, 307, 400, 401, 403, 404, 413]
    for (const status of refusals) {
      await register(server, `refuses with ${status}`, (await relyingParty(t, answers(status))).uri)
      await signOut(server, `refuses with ${status}`)
    }
    await register(server, 'endless', endless.uri)
    sids.push(await signOut(server, 'endless'))
    for (const [name, behave] of Object.entries(failures)) {
      await register(server, name, (await relyingParty(t, behave)).uri)
      await signOut(server, name)
    }
    await server.poll()
    await until(() => notified(server).length === 3 && tried(server) === 6)
    t.same(notified(server).sort(), sids.sort())
    await until(async () => (await waiting(server)) === Object.keys(failures).length)
    t.pass('the others are retried')
    t.same(
      server.logger
        .audits('logout_token.failed')
        .map(({ client_id, reason }) => `${client_id}: ${reason}`)
        .sort(),
      refusals.map((status) => `refuses with ${status}: the client returned ${status}`).sort(),
      'a refusal is final',
    )
    await until(() => endless.open() === 0)
  },
)

t.test(
  'a redirect is never followed (Back-Channel Logout §2.5, RFC 8725 §3.10; docs/security.md N151, P39)',
  async (t) => {
    const server = await start(t)
    await seed(server.store)
    const inner = await relyingParty(t)
    for (const status of [301, 302, 303, 307, 308]) {
      const rp = await relyingParty(t, answers(status, { location: inner.uri }))
      await register(server, `by ${status}`, rp.uri)
      await signOut(server, `by ${status}`)
    }
    await server.poll()
    await until(() => failed(server).length === 5)
    t.same(inner.received, [])
  },
)

t.test(
  'an unresponsive client delays neither the sign-out nor other notifications (Back-Channel Logout §2.5; docs/security.md N151)',
  async (t) => {
    const server = await start(t)
    await seed(server.store)
    const [unresponsive, good] = [await relyingParty(t, hangs), await relyingParty(t)]
    await register(server, 'stuck', unresponsive.uri)
    await register(server, 'good', good.uri)
    for (let i = 0; i < 5; i += 1) await signOut(server, 'stuck')
    // The unresponsive client has the first notifications and the most; no other notification waits for them.
    await server.poll()
    await until(() => unresponsive.received.length === 2)
    const sids = [await signOut(server, 'good'), await signOut(server, 'good'), await signOut(server, 'good')]
    await server.poll()
    await until(() => notified(server).length === 3)
    t.same(notified(server).sort(), sids.sort())
    t.equal(unresponsive.received.length, 2, 'at most two at once for one client')

    const before = unresponsive.open()
    await server.deps.jobs.stop()
    t.equal(before, 2)
    await until(() => unresponsive.open() === 0)
    t.same([failed(server), tried(server)], [[], 0], 'a stop counts as no failure')
    t.equal(await waiting(server), 5, 'and loses no notification')
  },
)

/** A session of the client that has ended: a notification that is due. */
async function endedSession(server: TestServer, clientId: string, id: string): Promise<void> {
  const [alice] = await server.store.users.page(null, 1000)
  const owner = { clientId, userId: alice?.id ?? '', backchannelLogout: true }
  await server.store.clientSessions.insert(session({ id, ...owner }))
  await server.store.clientSessions.revoke(id, server.clock.now(), 'signed out')
}

t.test(
  'a limited number of notifications are sent at once, and all are sent in the end (Back-Channel Logout §2.5, §2.8; docs/security.md N151)',
  async (t) => {
    const server = await start(t)
    await seed(server.store)
    const release: (() => void)[] = []
    let maxConcurrent = 0
    const rp = await relyingParty(t, (response) => {
      release.push(() => response.writeHead(200).end())
      maxConcurrent = Math.max(maxConcurrent, release.length)
    })
    const clients = MAX_DELIVERIES / MAX_DELIVERIES_PER_CLIENT + 2
    const all = clients * MAX_DELIVERIES_PER_CLIENT
    for (let i = 0; i < clients; i += 1) {
      await register(server, `web${i}`, rp.uri)
      for (let n = 0; n < MAX_DELIVERIES_PER_CLIENT; n += 1)
        await endedSession(server, `web${i}`, `s${i}-${n}`)
    }
    await server.poll()
    await until(() => release.length === MAX_DELIVERIES)
    await server.poll()
    t.equal(rp.received.length, MAX_DELIVERIES)
    while (notified(server).length < all) {
      for (const answer of release.splice(0)) answer()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    t.equal(maxConcurrent, MAX_DELIVERIES)
    t.equal(rp.received.length, all)
  },
)

t.test(
  'twenty-four clients that hang do not delay the notifications of others (Back-Channel Logout §2.5; docs/security.md N151)',
  async (t) => {
    const calls: { readonly uri: string; readonly end: (error?: Error) => void }[] = []
    const server = await start(t, {
      sendLogoutToken: (uri, _token, signal) =>
        uri.endsWith('/good')
          ? Promise.resolve()
          : new Promise<void>((resolve, reject) => {
              calls.push({ uri, end: (error) => (error ? reject(error) : resolve()) })
              signal.addEventListener('abort', () => reject(new Error('aborted')))
            }),
    })
    await seed(server.store)
    await register(server, 'good', 'https://good.example/good')
    const hanging = Array.from({ length: 24 }, (_, i) => `hanging${i}`)
    for (const id of hanging) {
      await register(server, id, `https://${id}.example/`)
      for (let n = 0; n < 3; n += 1) await endedSession(server, id, `${id}-${n}`)
    }
    await server.poll()
    await until(() => calls.length === hanging.length * MAX_DELIVERIES_PER_CLIENT)
    await endedSession(server, 'good', 'first')
    await server.poll()
    await until(() => notified(server).length === 1)

    for (const { end } of calls.splice(0)) end(new Error('timed out'))
    await until(async () => {
      await server.poll()
      return calls.length === MAX_DELIVERIES_TO_FAILING
    })
    server.clock.tick(3600)
    await endedSession(server, 'good', 'second')
    await server.poll()
    await until(() => notified(server).length === 2)
    t.equal(calls.length, MAX_DELIVERIES_TO_FAILING)
    t.equal(new Set(calls.map(({ uri }) => uri)).size, MAX_DELIVERIES_TO_FAILING, 'one for each client')

    // A client that responds again has all of its places again.
    await until(async () => {
      for (const { end } of calls.splice(0)) end()
      await server.poll()
      return (await waiting(server)) === 0
    })
  },
)

t.test(
  'after five attempts at growing intervals delivery is abandoned and audited (Back-Channel Logout §2.5, §2.8; docs/security.md N151)',
  async (t) => {
    const server = await start(t)
    await seed(server.store)
    const rp = await relyingParty(t, answers(503))
    await register(server, 'web', rp.uri)
    const sid = await signOut(server, 'web')
    let attempts = 0
    for (const wait of [0, 10, 60, 600, 3600]) {
      if (wait > 0) {
        server.clock.tick(wait - 1)
        t.same(await server.store.logoutOutbox.due(server.clock.now(), 9), [], `not before ${wait} s`)
        await server.poll()
        server.clock.tick(1)
      }
      await server.poll()
      attempts += 1
      await until(() => tried(server) + failed(server).length === attempts)
      t.equal(rp.received.length, attempts)
    }
    t.same(failed(server), [sid])
    t.match(server.logger.audits('logout_token.failed'), [{ client_id: 'web', actor: 'keyturn' }])
    server.clock.tick(86_400)
    await server.poll()
    t.equal(rp.received.length, 5)
    t.equal(await waiting(server), 0)
    t.equal(new Set(rp.received.map((_, n) => claimsOf(tokenOf(rp, n)).jti)).size, 5, 'a token for each')
  },
)

t.test('a client that was deleted, disabled or unsubscribed is not called', async (t) => {
  const server = await start(t)
  await seed(server.store)
  const rp = await relyingParty(t)
  for (const id of ['gone', 'disabled', 'quiet']) {
    await register(server, id, rp.uri)
    await signOut(server, id)
  }
  const { store } = server
  const change = (id: string, members: object) => store.clients.update(id, (one) => ({ ...one, ...members }))
  await store.clients.delete('gone')
  await change('disabled', { disabled: true })
  await change('quiet', { backchannelLogoutUri: null })
  await server.poll()
  await until(async () => (await waiting(server)) === 0)
  t.same(rp.received, [])
  t.same([notified(server), failed(server)], [[], []])
})

t.test(
  'an undelivered notification is sent after a restart, once even with two nodes (Back-Channel Logout §2.5, §2.8; docs/security.md N151)',
  async (t) => {
    const clock = testClock()
    const database = join(t.testdir(), 'keyturn.db')
    const options = { clock, database, masterKey: randomBytes(32).toString('base64url') }
    const first = await testServer({ ...options, sendLogoutToken })
    await seed(first.store)
    const uri = `http://127.0.0.1:${await freePort()}/logout`
    await register(first, 'away', uri)
    const rp = await relyingParty(t)
    await register(first, 'web', rp.uri)
    await signOut(first, 'away')
    await first.poll()
    await until(() => tried(first) === 1)
    const sids: string[] = []
    for (let i = 0; i < 6; i += 1) sids.push(await signOut(first, 'web'))
    // Stopped before it could send anything.
    await first.close()

    const nodes = [await start(t, options), await start(t, options)] as const
    await nodes[0].store.clients.update('away', (one) => ({ ...one, backchannelLogoutUri: rp.uri }))
    clock.tick(10)
    await Promise.all(nodes.flatMap((node) => [node.poll(), node.poll()]))
    const all = () => nodes.flatMap(notified)
    await until(() => all().length === 7)
    await Promise.all(nodes.map((node) => node.poll()))
    t.equal(rp.received.length, 7, 'each one once')
    t.same(new Set(all()).size, 7)
    t.ok(sids.every((sid) => all().includes(sid)))
    t.equal(await waiting(nodes[0]), 0)
  },
)
