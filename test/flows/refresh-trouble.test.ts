import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { StoreUnavailable } from '../../src/store/db.ts'
import { lockStore } from '../support/server/engine.ts'
import { claimsOf, login, refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { active, refreshed, signedIn } from '../support/server/tokens.ts'

const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().error]
const LATER = [503, 'temporarily_unavailable']

t.test(
  'a server that cannot sign uses up no refresh token: a minute later it is good (§4 row 16)',
  async (t) => {
    const server = await testServer()
    t.teardown(() => server.close())
    await seed(server.store)
    const first = await signedIn(server)

    // The lease on the ring is over, and the store does not say what has become of the ring.
    const { revisions } = server.store
    const read = revisions.read
    Object.assign(revisions, { read: () => Promise.reject(new StoreUnavailable(new Error('gone'))) })
    for (let attempt = 0; attempt < 4; attempt += 1) {
      server.clock.tick(15)
      const answer = await refresh(server, first.refresh_token)
      t.same(outcome(answer), LATER)
      t.equal(answer.headers['retry-after'], '1')
    }
    const before = await server.store.sessions.list({}, 100)
    t.same(outcome(await login(server)), LATER)
    t.equal(
      (await server.store.sessions.list({}, 100)).length,
      before.length,
      'nor does a sign-in begin a session',
    )

    Object.assign(revisions, { read })
    const next = await refreshed(server, first.refresh_token)
    t.ok(await active(server, next.access_token), 'nobody was logged out by our trouble')
    t.same(server.logger.audits('token.reuse_detected'), [])
  },
)

t.test('a private key that does not open is 503 and uses up nothing (§4 row 8)', async (t) => {
  const server = await testServer()
  t.teardown(() => server.close())
  await seed(server.store)
  const first = await signedIn(server)
  const { db } = server.store
  const [row] = await db.query<{ sealed: string }>(
    "SELECT encrypted_private_key AS sealed FROM ring_keys WHERE state = 'active'",
  )
  const [next] = await db.query<{ kid: string }>("SELECT kid FROM ring_keys WHERE state = 'next'")
  const damage = (sealed: string) => ({
    sql: "UPDATE ring_keys SET encrypted_private_key = $1 WHERE state = 'active'",
    params: [sealed],
    rows: 1,
  })
  // Somebody moved the seal of one key to another, and the ring has a new version.
  await db.batch([
    { sql: "UPDATE ring_keys SET state = 'retired', encrypted_private_key = NULL WHERE state = 'active'" },
    { sql: "UPDATE ring_keys SET state = 'active' WHERE kid = $1", params: [next?.kid ?? ''], rows: 1 },
    { sql: 'UPDATE ring SET version = version + 1' },
  ])
  const [good] = await db.query<{ sealed: string }>(
    "SELECT encrypted_private_key AS sealed FROM ring_keys WHERE state = 'active'",
  )
  await db.batch([damage(row?.sealed ?? '')])
  for (let attempt = 0; attempt < 3; attempt += 1) {
    server.clock.tick(15)
    const answer = await refresh(server, first.refresh_token)
    t.same(outcome(answer), LATER)
    t.notMatch(answer.body, /key|seal|master/i, 'and tells no stranger why')
  }
  await db.batch([damage(good?.sealed ?? '')])
  await refreshed(server, first.refresh_token)
})

/** One whose store can be locked; the time limit is that of PostgreSQL, SQLite has its own. */
async function lockable(t: Test) {
  const server = await testServer({
    database: join(t.testdir(), 'keyturn.db'),
    masterKey: randomBytes(32).toString('base64url'),
    settings: { DATABASE_TIMEOUT: '1s' },
  })
  t.teardown(() => server.close())
  await seed(server.store)
  const first = await signedIn(server)
  return { server, first, lock: () => lockStore(t, { url: server.config.databaseUrl }) }
}

t.test('a locked database is 503, and the same request succeeds when it is free (§4 row 5)', async (t) => {
  const { server, first, lock } = await lockable(t as Test)
  const sid = String(claimsOf(first.access_token).sid)
  const unlock = await lock()
  const [refused, jwks] = await Promise.all([
    refresh(server, first.refresh_token),
    server.inject({ url: '/.well-known/jwks.json' }),
  ])
  t.same(outcome(refused), LATER)
  t.match(refused.headers['retry-after'], /^\d+$/)
  t.equal(jwks.statusCode, 200, 'the JWKS asks no store')
  t.equal((await server.store.sessions.find(sid))?.generation, 1, 'nothing was used up')
  await unlock()
  server.clock.tick(60)
  await refreshed(server, first.refresh_token)
})

t.test('a short lock is waited for: nobody notices (§4 row 5)', async (t) => {
  const { server, first, lock } = await lockable(t as Test)
  const unlock = await lock()
  const waiting = Promise.all(Array.from({ length: 10 }, () => refresh(server, first.refresh_token)))
  setTimeout(unlock, 200)
  const answers = await waiting
  t.same(new Set(answers.map((answer) => answer.statusCode)), new Set([200]))
  t.equal(new Set(answers.map((answer) => answer.json().refresh_token)).size, 1)
})
