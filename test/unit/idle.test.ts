/** What a node without requests does: nothing, until something is due or was written. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { HEARTBEAT_INTERVAL } from '../../src/node/heartbeat.ts'
import { STALE_AFTER_MS } from '../../src/node/staleness.ts'
import { RETRY_DELAYS } from '../../src/oauth/logout/logout-outbox.ts'
import { createStore, openDb } from '../../src/store/index.ts'
import { testClock } from '../support/server/clock.ts'
import { countQueries } from '../support/server/query-count.ts'
import { clientCredentials } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { revoke, signedIn } from '../support/server/tokens.ts'
import { until } from '../support/server/waiting.ts'

async function start(t: Test) {
  const clock = testClock()
  const database = join(t.testdir(), 'keyturn.db')
  const sent: string[] = []
  const sendLogoutToken = async (uri: string) => {
    sent.push(uri)
    throw new Error('down')
  }
  const server = await testServer({ clock, sendLogoutToken, database })
  t.teardown(() => server.close())
  await seed(server.store)
  const db = openDb(`sqlite:${database}`)
  t.teardown(() => db.close())
  return { clock, server, sent, other: createStore(db) }
}

/** A round of the background jobs, with a poll. */
async function round({ deps }: TestServer): Promise<void> {
  await deps.jobs.poll()
  await deps.jobs.heartbeat()
  await deps.jobs.deliverLogouts()
  await deps.jobs.maintainKeys()
}

t.test('while nothing is written, no round queries the store', async (t) => {
  const { clock, server } = await start(t)
  await round(server)
  // Its own heartbeat was a write.
  await round(server)
  const queries = countQueries(server.store)
  for (let i = 1; i < HEARTBEAT_INTERVAL; i += 1) {
    clock.tick(1)
    await round(server)
  }
  t.equal(queries.count(), 0)
  t.equal(server.deps.jobs.isPollWanted(false), false)
  clock.tick(1)
  await round(server)
  t.equal(queries.count(), 1, 'the heartbeat')
  t.equal(server.deps.jobs.isPollWanted(false), true)
  await round(server)
  t.equal(queries.count(), 2, 'one look, because something was written')
})

t.test('what another process writes is found by one look, whatever it is', async (t) => {
  const { server, other } = await start(t)
  await server.deps.registry.client('app')
  await round(server)
  await round(server)
  t.ok(server.deps.registry.knownClient('app'))
  await other.clients.update('app', (app) => ({ ...app, disabled: true }))
  await round(server)
  t.equal(server.deps.registry.knownClient('app'), null)
  const queries = countQueries(server.store)
  await other.singleUse.claim('nothing that a node holds in memory', 1)
  t.equal(server.deps.jobs.isPollWanted(false), true)
  await round(server)
  t.equal(queries.count(), 1)
})

t.test('a poll is wanted when a request has used the view, and not otherwise', async (t) => {
  const { clock, server } = await start(t)
  const { jobs } = server.deps
  await round(server)
  clock.tick(60)
  t.equal(jobs.isPollWanted(true), false)
  t.equal((await clientCredentials(server)).statusCode, 200)
  t.equal(jobs.isPollWanted(true), false, 'the view was too old, so the request itself has polled')
  t.equal((await clientCredentials(server)).statusCode, 200)
  t.equal(jobs.isPollWanted(true), true)
  await round(server)
  t.equal(jobs.isPollWanted(true), false)
})

t.test(
  'an idle node polls before it answers from a view that is too old (docs/security.md Q18)',
  async (t) => {
    const { clock, server, other } = await start(t)
    t.equal((await clientCredentials(server)).statusCode, 200)
    await other.clients.update('machine', (machine) => ({ ...machine, disabled: true }))
    clock.tick(Math.ceil((STALE_AFTER_MS + 1) / 1000))
    t.equal((await clientCredentials(server)).statusCode, 401)
  },
)

t.test('a poll is wanted when the next attempt at a logout token is due', async (t) => {
  const { clock, server, sent } = await start(t)
  const { jobs } = server.deps
  await server.store.clients.insert(
    client({ id: 'rp', grants: ['password', 'refresh_token'], backchannelLogoutUri: 'https://rp.test/out' }),
  )
  const { refresh_token } = await signedIn(server, {}, 'rp')
  await revoke(server, refresh_token, 'rp')
  await round(server)
  await until(() => sent.length === 1)
  await round(server)
  const [first = 0] = RETRY_DELAYS
  clock.tick(first - 1)
  t.equal(jobs.isPollWanted(true), false)
  await round(server)
  t.equal(sent.length, 1)
  clock.tick(1)
  t.equal(jobs.isPollWanted(true), true)
  await round(server)
  await until(() => sent.length === 2)
})
