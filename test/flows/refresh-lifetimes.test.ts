/** How long a client session lives, and what it survives: clock changes, restarts, and failures of the store. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { StoreUnavailable } from '../../src/store/db.ts'
import { BUSY_TIMEOUT_MS } from '../../src/store/sqlite/sqlite.ts'
import { testClock } from '../support/server/clock.ts'
import { lockStore } from '../support/server/engine.ts'
import { claimsOf, clientCredentials, login, refresh } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { introspect, isActive, refreshed, revoke, signedIn } from '../support/server/tokens.ts'

const DAY = 86_400
const server = await testServer()
t.teardown(() => server.close())
await seed(server.store)
const { clock, store } = server

const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().error]
const INVALID_GRANT = [400, 'invalid_grant']
const UNAVAILABLE = [503, 'temporarily_unavailable']
const expOf = (token: string) => Number(claimsOf(token).exp)

t.test(
  'an unused session ends after REFRESH_IDLE_TTL, and each use restarts that time (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    let { refresh_token: token } = await signedIn(server)
    for (let use = 0; use < 3; use += 1) {
      clock.tick(7 * DAY - 1)
      token = (await refreshed(server, token)).refresh_token
    }
    clock.tick(7 * DAY)
    t.notOk(await isActive(server, token))
    t.same(outcome(await refresh(server, token)), INVALID_GRANT)
  },
)

t.test(
  'a retry does not extend the session beyond what the refresh gave it (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    const next = await refreshed(server, token)
    clock.tick(10)
    await refreshed(server, token)
    clock.tick(7 * DAY - 10)
    t.same(outcome(await refresh(server, next.refresh_token)), INVALID_GRANT)
  },
)

t.test(
  'no use extends a session beyond REFRESH_TOKEN_TTL, and no token outlives its session (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    let pair = await signedIn(server)
    const end = clock.now() + 30 * DAY
    while (clock.now() < end - 2 * DAY) {
      clock.tick(DAY)
      pair = await refreshed(server, pair.refresh_token)
      t.equal(pair.expires_in, 600)
    }
    clock.set(end - 100)
    pair = await refreshed(server, pair.refresh_token)
    t.equal(pair.expires_in, 100, 'the response states the shorter lifetime')
    t.equal(expOf(pair.access_token), end)
    clock.set(end - 1)
    t.ok(await isActive(server, pair.access_token))
    const last = await refreshed(server, pair.refresh_token)
    t.equal(expOf(last.access_token), end)
    clock.set(end)
    t.notOk(await isActive(server, last.access_token))
    t.same(outcome(await refresh(server, last.refresh_token)), INVALID_GRANT)
  },
)

t.test(
  'an access token expires no later than its idle session (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    const bank = await testServer({ settings: { REFRESH_IDLE_TTL: '5m', REFRESH_TOKEN_TTL: '8h' } })
    t.teardown(() => bank.close())
    await seed(bank.store)
    const first = await signedIn(bank)
    t.equal(first.expires_in, 300, 'not the ten minutes of ACCESS_TOKEN_TTL')
    bank.clock.tick(200)
    const second = await refreshed(bank, first.refresh_token)
    t.equal(second.expires_in, 300)
    bank.clock.tick(4)
    t.equal((await refreshed(bank, first.refresh_token)).expires_in, 296, 'a retry counts from the refresh')
  },
)

t.test('without a refresh token the session ends with its access token', async (t) => {
  await store.clients.insert(client({ id: 'once', grants: ['password'], accessTokenTtl: 60 }))
  const answer = await login(server, {}, 'once')
  const { access_token: token, expires_in: ttl, refresh_token: none } = answer.json()
  t.equal(none, undefined)
  t.equal(ttl, 60)
  const session = await store.clientSessions.find(String(claimsOf(token).sid))
  t.equal(session?.expiresAt, clock.now() + 60)
})

t.test(
  'introspection of a refresh token returns the time at which it expires if unused (RFC 7662 §2.2)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    t.equal((await introspect(server, token)).json().exp, clock.now() + 7 * DAY)
  },
)

t.test(
  'a token refused as expired stays refused when the clock is set back (docs/security.md Q7)',
  async (t) => {
    const { refresh_token: token, access_token: access } = await signedIn(server)
    const before = clock.now()
    clock.tick(7 * DAY)
    t.same(outcome(await refresh(server, token)), INVALID_GRANT)
    clock.set(before + 60)
    t.same(outcome(await refresh(server, token)), INVALID_GRANT)
    t.notOk(await isActive(server, token))
    t.notOk(await isActive(server, access))
  },
)

t.test(
  'a clock set back revives no revoked session, revoked token or replayed token (docs/security.md Q7)',
  async (t) => {
    const start = clock.now()
    const revoked = await signedIn(server)
    await revoke(server, revoked.refresh_token)
    const short = await signedIn(server)
    await revoke(server, short.access_token)
    const { access_token: machine } = (await clientCredentials(server)).json()
    await revoke(server, machine, 'machine')
    const reused = await signedIn(server)
    const successor = await refreshed(server, reused.refresh_token)
    clock.tick(11)
    t.same(outcome(await refresh(server, reused.refresh_token)), INVALID_GRANT)

    clock.tick(3600)
    await server.deps.jobs.prune()
    clock.set(start)
    t.notOk(await isActive(server, revoked.access_token))
    t.same(outcome(await refresh(server, revoked.refresh_token)), INVALID_GRANT)
    t.notOk(await isActive(server, short.access_token), 'although pruning ran after it had expired')
    t.notOk(await isActive(server, machine, 'machine'), 'nor one without a session')
    t.same(
      outcome(await refresh(server, reused.refresh_token)),
      INVALID_GRANT,
      'although it is in the window again',
    )
    t.same(outcome(await refresh(server, successor.refresh_token)), INVALID_GRANT)
  },
)

t.test(
  'a clock set back neither extends the retry window nor ends a session in use (docs/security.md Q7)',
  async (t) => {
    const { refresh_token: token } = await signedIn(server)
    const next = await refreshed(server, token)
    clock.tick(-3600)
    const third = await refreshed(server, next.refresh_token)
    t.ok(await isActive(server, third.refresh_token), 'the last token still works')

    const first = await signedIn(server)
    await refreshed(server, first.refresh_token)
    clock.tick(-3600)
    t.same(
      outcome(await refresh(server, first.refresh_token)),
      INVALID_GRANT,
      'a clock an hour back does not reopen the window',
    )
  },
)

t.test(
  'a generation unknown to a restored backup is refused without counting as a replay, and the session continues (docs/security.md Q1)',
  async (t) => {
    const first = await signedIn(server)
    const sid = String(claimsOf(first.access_token).sid)
    const second = await refreshed(server, first.refresh_token)
    const third = await refreshed(server, second.refresh_token)
    await store.db.batch([
      { sql: 'UPDATE client_sessions SET generation = 1 WHERE id = $1', params: [sid], expectRows: 1 },
    ])
    server.logger.lines.length = 0
    t.same(outcome(await refresh(server, third.refresh_token)), INVALID_GRANT)
    t.notOk(await isActive(server, third.refresh_token))
    t.same(server.logger.audits('token.reuse_detected'), [], 'no replay was reported')
    t.equal((await refreshed(server, first.refresh_token)).refresh_token, second.refresh_token)
  },
)

t.test(
  'replays are detected and retries answered across a restart (RFC 9700 §4.14.2; docs/security.md F70, P4)',
  async (t) => {
    const folder = t.testdir()
    const database = join(folder, 'keyturn.db')
    const masterKey = randomBytes(32).toString('base64url')
    const time = testClock()
    const start = () => testServer({ database, masterKey, clock: time })

    let node = await start()
    await seed(node.store)
    const a = await signedIn(node)
    const b = await refreshed(node, a.refresh_token)
    const lost = await signedIn(node)
    const successor = await refreshed(node, lost.refresh_token)
    await node.close()

    node = await start()
    time.tick(5)
    t.equal((await refreshed(node, lost.refresh_token)).refresh_token, successor.refresh_token, 'a retry')
    time.tick(6)
    t.same(outcome(await refresh(node, a.refresh_token)), INVALID_GRANT, 'a replay')
    await node.close()

    node = await start()
    t.teardown(() => node.close())
    t.same(
      outcome(await refresh(node, b.refresh_token)),
      INVALID_GRANT,
      'and the revoked session stays revoked',
    )
    t.notOk(await isActive(node, b.access_token))
    await refreshed(node, successor.refresh_token)
  },
)

t.test('a server with another master key refuses the token without revoking its session', async (t) => {
  const pair = await signedIn(server)
  const stranger = await testServer()
  t.teardown(() => stranger.close())
  await seed(stranger.store)
  t.same(outcome(await refresh(stranger, pair.refresh_token)), INVALID_GRANT)
  t.notOk(await isActive(stranger, pair.access_token))
  t.ok(await isActive(server, pair.refresh_token))
})

t.test('the token of a pruned session is refused (docs/security.md Q20)', async (t) => {
  const node = await testServer()
  t.teardown(() => node.close())
  await seed(node.store)
  const { refresh_token: token } = await signedIn(node)
  node.clock.tick(8 * DAY + 3600)
  await node.deps.jobs.prune()
  t.same(await node.store.db.query('SELECT COUNT(*) AS left FROM client_sessions'), [{ left: 0 }])
  t.same(outcome(await refresh(node, token)), INVALID_GRANT)
})

t.test('a server that cannot sign does not consume the refresh token (docs/security.md Q16)', async (t) => {
  const server = await testServer()
  t.teardown(() => server.close())
  await seed(server.store)
  const first = await signedIn(server)

  // The lease on the key ring has ended, and the store cannot be asked about its state.
  const { revisions } = server.store
  const read = revisions.read
  Object.assign(revisions, { read: () => Promise.reject(new StoreUnavailable(new Error('gone'))) })
  for (let attempt = 0; attempt < 4; attempt += 1) {
    server.clock.tick(15)
    const answer = await refresh(server, first.refresh_token)
    t.same(outcome(answer), UNAVAILABLE)
    t.equal(answer.headers['retry-after'], '1')
  }
  const before = await server.store.clientSessions.list({}, 100)
  t.same(outcome(await login(server)), UNAVAILABLE)
  t.equal(
    (await server.store.clientSessions.list({}, 100)).length,
    before.length,
    'nor does a sign-in create a session',
  )

  Object.assign(revisions, { read })
  const next = await refreshed(server, first.refresh_token)
  t.ok(await isActive(server, next.access_token), 'no session was lost through the failure')
  t.same(server.logger.audits('token.reuse_detected'), [])
})

t.test(
  'a signing key that does not decrypt causes 503 and consumes nothing (docs/security.md Q8)',
  async (t) => {
    const server = await testServer()
    t.teardown(() => server.close())
    await seed(server.store)
    const first = await signedIn(server)
    const { db } = server.store
    const [row] = await db.query<{ text: string }>(
      "SELECT encrypted_private_key AS text FROM ring_keys WHERE state = 'active'",
    )
    const [next] = await db.query<{ kid: string }>("SELECT kid FROM ring_keys WHERE state = 'next'")
    const damage = (text: string) => ({
      sql: "UPDATE ring_keys SET encrypted_private_key = $1 WHERE state = 'active'",
      params: [text],
      expectRows: 1,
    })
    // The encrypted key of one row was moved to another, and the key ring has a new version.
    await db.batch([
      { sql: "UPDATE ring_keys SET state = 'retired', encrypted_private_key = NULL WHERE state = 'active'" },
      {
        sql: "UPDATE ring_keys SET state = 'active' WHERE kid = $1",
        params: [next?.kid ?? ''],
        expectRows: 1,
      },
      // A ring is never without a next key.
      {
        sql: "UPDATE ring_keys SET state = 'next', encrypted_private_key = $1 WHERE state = 'retired'",
        params: [row?.text ?? ''],
        expectRows: 1,
      },
      { sql: 'UPDATE ring SET version = version + 1' },
    ])
    const [good] = await db.query<{ text: string }>(
      "SELECT encrypted_private_key AS text FROM ring_keys WHERE state = 'active'",
    )
    await db.batch([damage(row?.text ?? '')])
    for (let attempt = 0; attempt < 3; attempt += 1) {
      server.clock.tick(15)
      const answer = await refresh(server, first.refresh_token)
      t.same(outcome(answer), UNAVAILABLE)
      t.notMatch(answer.body, /key|crypt|master/i, 'and does not reveal the reason')
    }
    await db.batch([damage(good?.text ?? '')])
    await refreshed(server, first.refresh_token)
  },
)

/** A server whose store can be locked; the settings are PostgreSQL’s, as SQLite has a limit of its own. */
async function lockable(t: Test, settings: Record<string, string> = {}) {
  const server = await testServer({
    database: join(t.testdir(), 'keyturn.db'),
    masterKey: randomBytes(32).toString('base64url'),
    settings,
  })
  t.teardown(() => server.close())
  await seed(server.store)
  const first = await signedIn(server)
  return { server, first, lock: () => lockStore(t, { url: server.config.databaseUrl }) }
}

t.test(
  'a locked database causes 503, and the same request succeeds once it is unlocked (docs/security.md Q5)',
  async (t) => {
    const { server, first, lock } = await lockable(t as Test, { DATABASE_TIMEOUT: '2s' })
    const sid = String(claimsOf(first.access_token).sid)
    const unlock = await lock()
    const [refused, jwks] = await Promise.all([
      refresh(server, first.refresh_token),
      server.inject({ url: '/.well-known/jwks.json' }),
    ])
    t.same(outcome(refused), UNAVAILABLE)
    t.match(refused.headers['retry-after'], /^\d+$/)
    t.equal(jwks.statusCode, 200, 'the JWKS needs no store')
    t.equal((await server.store.clientSessions.find(sid))?.generation, 1, 'nothing was consumed')
    await unlock()
    server.clock.tick(60)
    await refreshed(server, first.refresh_token)
  },
)

t.test('a short database lock only delays the refresh (docs/security.md Q5)', async (t) => {
  const { server, first, lock } = await lockable(t as Test)
  const unlock = await lock()
  const waiting = Promise.all(Array.from({ length: 10 }, () => refresh(server, first.refresh_token)))
  // A small part of the time that a request waits.
  setTimeout(unlock, BUSY_TIMEOUT_MS / 30)
  const answers = await waiting
  t.same(new Set(answers.map((answer) => answer.statusCode)), new Set([200]))
  t.equal(new Set(answers.map((answer) => answer.json().refresh_token)).size, 1)
})
