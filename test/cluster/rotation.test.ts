/**
 * Three nodes on one PostgreSQL, each in its own process: ten rotations under load, half of them by command and half
 * automatic, observed by twenty verifiers and a recorder (docs/security.md H92, Q9, Q10).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createStore, openDb, type Store } from '../../src/store/index.ts'
import { systemClock } from '../../src/system.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { testCli } from '../support/processes/cli.ts'
import { startCluster } from '../support/processes/cluster.ts'
import { signIn } from '../support/processes/data-folder.ts'
import { maxLag, violations } from '../support/processes/ring-observations.ts'
import { clientCredentials } from '../support/server/requests.ts'
import { revoke } from '../support/server/tokens.ts'
import { until } from '../support/server/waiting.ts'
import { watch } from './observed-load.ts'

/** A verifier uses half of the two seconds: clocks of nodes may differ by a second (docs/rotation.md). */
const SETTINGS = { VERIFIER_CACHE: '2s', KEY_ROTATION: '1m', REFRESH_GRACE: '1m', STATUS_TTL: '1s' }
/** How long a node may sign without having polled the store (keys/live-ring), and a tolerance for a busy machine. */
const LAG_MS = 12_000
const ROTATIONS = 10

const postgres = await startPostgres(t)

interface ListedKeys {
  readonly kid: string
  readonly state: string
}

/** Makes the active key old: nodes that rotate after a minute find the rotation due. */
async function age(store: Store): Promise<void> {
  for (;;) {
    const ring = await store.ring.read()
    if (!ring) throw new Error('there is no ring')
    const keys = ring.keys.map((key) =>
      key.state === 'active' ? { ...key, signsFrom: (key.signsFrom ?? 0) - 60 } : key,
    )
    if (await store.ring.replace(ring, { ...ring, version: ring.version + 1, keys })) return
  }
}

t.test(
  'during ten rotations on three nodes every token verifies at twenty verifiers, and every key is published on all nodes before it signs (OpenID Connect Core §10.1.1; docs/security.md H92, Q9, Q10)',
  async (t) => {
    const url = await postgres.emptyDatabase()
    const cluster = await startCluster(t, { database: url, settings: SETTINGS })
    const db = openDb(url)
    const store = createStore(db)
    const sessions = await cluster.withOpened((opened) => signIn(opened, 2))
    const cli = testCli(t as Test)
    const settings = cluster.folder.settings
    const watching = watch(t, cluster, store)
    t.teardown(async () => {
      await watching.end()
      await db.close()
    })
    const activeKey = async () =>
      (await store.ring.read())?.keys.find(({ state }) => state === 'active')?.kid ?? ''

    const order = [await activeKey()]
    await until(() => new Set(watching.sets.map(({ node }) => node)).size === 3)
    await watching.begin(sessions)

    for (let rotation = 1; rotation <= ROTATIONS; rotation += 1) {
      const before = order.at(-1)
      // The status lists change, so that the next one is signed by the key that is active then.
      const { access_token } = (await clientCredentials(cluster.at(rotation))).json()
      await revoke(cluster.at(rotation), access_token, 'machine')
      if (rotation % 2 === 1) {
        const { active, nodes, nodes_behind } = await cluster.json(['keys', 'rotate', '--wait'])
        t.same([nodes, nodes_behind], [3, []], 'the command says that all nodes have switched')
        t.not(active, before)
      } else {
        // Times are whole seconds, so that a difference of two may be little more than one.
        await sleep(700)
        await age(store)
        await until(async () => (await activeKey()) !== before)
      }
      order.push(await activeKey())
      const { out } = await cli.run(['keys', 'list', '--json'], { settings, clock: systemClock })
      const states = (JSON.parse(out) as ListedKeys[]).map(({ state }) => state).sort()
      t.same(
        states,
        ['active', 'next', ...Array(rotation).fill('retiring')],
        'one active key and one next key',
      )
    }
    const ring = await store.ring.read()
    t.equal(ring?.version, 1 + ROTATIONS + ROTATIONS / 2, 'no rotation happened twice')
    t.equal(ring?.keys.length, ROTATIONS + 2)
    const signed = (kid: string) =>
      new Set(watching.tokens.filter((token) => token.kid === kid).map(({ node }) => node)).size
    await until(() => signed(order.at(-1) ?? '') === 3)
    await watching.end()

    const { tokens, sets, rings, failures, counts } = watching
    const seen = { nodes: 3, order, tokens, sets, rings, lagMs: LAG_MS }
    t.same([...new Set(failures)], [], 'no token was refused and no request failed')
    t.same(violations(seen).slice(0, 20), [])
    t.same(order.map(signed), Array(ROTATIONS + 1).fill(3), 'each key has signed on each node')
    const { verified, fetches } = counts()
    t.comment(
      `${tokens.length} tokens, ${verified} verifications, ${fetches} fetches, ${sets.length} key sets, ${rings.length} readings, lag ${maxLag(seen)} ms`,
    )
    t.ok(tokens.length > 100 && verified > 1000 && rings.length > 100, 'enough was observed')
  },
)
