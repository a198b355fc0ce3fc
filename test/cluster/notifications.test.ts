/** Two nodes on one PostgreSQL: changes made on one reach the other by notification, and by polling. */
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { rotateRing } from '../../src/keys/rotate.ts'
import { type ChangePollerOptions, startChangePoller } from '../../src/node/change-poller.ts'
import { STALE_AFTER_MS } from '../../src/node/staleness.ts'
import { run } from '../support/postgres/databases.ts'
import { withoutNotificationDelivery } from '../support/postgres/notification-proxy.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { testClock } from '../support/server/clock.ts'
import { clientCredentials } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'
import { revoke, signedIn } from '../support/server/tokens.ts'
import { until } from '../support/server/waiting.ts'

const NEVER = 1e9
const FORCED = { force: true, actor: 'operator:test' }
const postgres = await startPostgres(t)

/** @param drops whether notifications to the second node are lost, without a sign */
async function twoNodes(
  t: Test,
  intervals: NonNullable<ChangePollerOptions['intervals']>,
  drops?: () => boolean,
) {
  const url = await postgres.database(t)
  const clock = testClock()
  const masterKey = randomBytes(32).toString('base64url')
  const node = async (databaseUrl: string) => {
    const server = await testServer({
      clock,
      masterKey,
      settings: { DATABASE_URL: databaseUrl },
      ...(drops ? { skipAuditCheck: 'the nodes reach the store at different addresses' } : {}),
    })
    t.teardown(() => server.close())
    return server
  }
  const one = await node(url)
  await seed(one.store)
  const two = await node(drops ? await withoutNotificationDelivery(t, url, drops) : url)
  const { changes } = two.store.db
  t.ok(changes, 'this store sends notifications')
  const poller = startChangePoller(two.deps.jobs, two.logger, { changes, intervals })
  t.teardown(() => poller.stop())
  const listening = async (wanted: boolean) => {
    await until(() => two.store.db.pool?.().listening === wanted)
  }
  await listening(true)
  return { one, two, clock, url, listening, poller }
}

const ringOf = ({ deps }: TestServer) => deps.signing.ring.ring().version

/** What this node has in memory, without a query to the store. */
const cachedClient = ({ deps }: TestServer, id: string) => deps.registry.knownClient(id)

/** The status list as this node serves it, with one revoked bit per session. */
const list = async (node: TestServer) => (await node.inject({ url: '/status-lists/0' })).payload

/** Makes one change of each kind on one node, and waits until the other has it. */
async function changes({ one, two }: { one: TestServer; two: TestServer }): Promise<void> {
  const { version } = await rotateRing(one.deps.keys, FORCED)
  await until(() => ringOf(two) === version)

  await two.deps.registry.client('app')
  await one.store.clients.update('app', (app) => ({ ...app, name: `${app.name}!` }))
  await until(() => cachedClient(two, 'app') === null)

  const { access_token } = await signedIn(one)
  const before = await list(two)
  await revoke(one, access_token)
  await until(async () => (await list(two)) !== before)
}

t.test('changes of keys, clients and revocations reach an idle node without a poll', async (t) => {
  const nodes = await twoNodes(t, { poll: NEVER, busyPoll: NEVER, idlePoll: NEVER })
  await changes(nodes)
  t.pass('each has reached it')
  nodes.two.logger.lines.length = 0
  await nodes.poller.stop()
  t.equal(nodes.two.store.db.pool?.().listening, false)
})

t.test(
  'a node whose listening connection stays cut falls back to polling, and listens again later (docs/security.md Q6)',
  async (t) => {
    const nodes = await twoNodes(t, { poll: 20, busyPoll: NEVER, idlePoll: NEVER })
    const { two, url, listening } = nodes
    const name = new URL(url).pathname.slice(1)
    // Existing connections stay, up to the limit, and no new one can be made.
    for (const { store } of [nodes.one, two]) {
      await Promise.all(Array.from({ length: 4 }, () => store.db.query('SELECT pg_sleep(0.05)')))
      t.equal(store.db.pool?.().idle, 4)
    }
    const allow = (yes: boolean) => run(postgres.admin, `ALTER DATABASE ${name} ALLOW_CONNECTIONS ${yes}`)
    await allow(false)
    t.teardown(() => allow(true))
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND query = 'SELECT 1'`
    t.equal((await run(postgres.admin, cut)).rowCount, 1, 'one connection listens')
    await listening(false)
    await changes(nodes)
    t.equal(two.store.db.pool?.().listening, false, 'no notification arrived meanwhile')
    t.equal(nodes.poller.problem(), null)
    await allow(true)
    await listening(true)
    // Now the node no longer polls.
    await changes(nodes)
    const countLines = (level: string) => two.logger.lines.filter((line) => line.level === level).length
    t.equal(countLines('warn'), 1, 'the lost connection is logged once')
  },
)

t.test('changes made while no node was listening are found once it listens again', async (t) => {
  const { one, two, url, listening } = await twoNodes(t, { poll: NEVER, busyPoll: NEVER, idlePoll: NEVER })
  const name = new URL(url).pathname.slice(1)
  const allow = (yes: boolean) => run(postgres.admin, `ALTER DATABASE ${name} ALLOW_CONNECTIONS ${yes}`)
  await allow(false)
  t.teardown(() => allow(true))
  await run(
    postgres.admin,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND query = 'SELECT 1'`,
  )
  await listening(false)
  const { version } = await rotateRing(one.deps.keys, FORCED)
  t.equal(ringOf(two), version - 1)
  await allow(true)
  await until(() => ringOf(two) === version)
  await listening(true)
})

t.test(
  'an idle node whose notifications are lost without a sign polls before it answers (docs/security.md Q18)',
  async (t) => {
    let drops = false
    const { one, two, clock } = await twoNodes(
      t,
      { poll: NEVER, busyPoll: NEVER, idlePoll: NEVER },
      () => drops,
    )
    t.equal((await clientCredentials(two)).statusCode, 200)
    drops = true
    await one.store.clients.update('machine', (machine) => ({ ...machine, disabled: true }))
    const { version } = await rotateRing(one.deps.keys, FORCED)
    clock.tick(Math.ceil(STALE_AFTER_MS / 1000))
    t.equal((await clientCredentials(two)).statusCode, 401)
    t.equal(ringOf(two), version)
    t.equal(two.store.db.pool?.().listening, true, 'the node believes that it is notified')
  },
)

t.test('a node that answers requests polls often, although the store notifies it', async (t) => {
  let drops = false
  const { one, two } = await twoNodes(t, { poll: NEVER, busyPoll: 20, idlePoll: NEVER }, () => drops)
  t.equal((await clientCredentials(two)).statusCode, 200)
  drops = true
  await one.store.clients.update('machine', (machine) => ({ ...machine, disabled: true }))
  // No clock goes on, so no request polls.
  await until(async () => (await clientCredentials(two)).statusCode === 401)
  t.equal(two.store.db.pool?.().listening, true)
})

t.test('a change whose notification was lost is still found by polling', async (t) => {
  const { two, url } = await twoNodes(t, { poll: NEVER, busyPoll: 20, idlePoll: 20 })
  await two.deps.registry.client('app')
  // Suppresses the notification of the change.
  await run(url, `UPDATE revisions SET value = value + 1 WHERE name = 'registry'`)
  await until(() => cachedClient(two, 'app') === null)
  t.equal(two.store.db.pool?.().listening, true)
})
