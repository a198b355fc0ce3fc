/**
 * Two releases as real processes on one store, behind a proxy and under load (docs/upgrades.md). The next release is
 * this source tree with a migration that adds columns and a table; the one after it removes something.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createVerifier } from '../../packages/verify/index.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { type Cluster, type ClusterNode, startCluster } from '../support/processes/cluster.ts'
import { signIn } from '../support/processes/data-folder.ts'
import { laterVersion, makeRelease, type Release, THIS_RELEASE } from '../support/processes/later-release.ts'
import { clientCredentials, kidOf, refresh } from '../support/server/requests.ts'
import { ORDERS } from '../support/server/seed.ts'
import { type RoundRobin, roundRobin } from './round-robin.ts'

const CLEAN = { code: 0, signal: null }
const SETTINGS = { VERIFIER_CACHE: '2s', REFRESH_GRACE: '1m', SHUTDOWN_DELAY: '1s' }

/** What the next release adds: a column that is read with every change of keys, one that every refresh writes, and a table. */
const ADDED = {
  '0900_keys.sql': `-- expand
ALTER TABLE ring_keys ADD COLUMN more BIGINT NOT NULL DEFAULT 7;
`,
  '0901_sessions.sql': `-- expand
CREATE TABLE more (id TEXT PRIMARY KEY, session_id TEXT REFERENCES client_sessions (id) ON DELETE CASCADE);

ALTER TABLE client_sessions ADD COLUMN more TEXT NOT NULL DEFAULT '';
`,
}
/** What the release after the next removes. */
const CONTRACTED = { '0902_less.sql': `-- contract: ${laterVersion(1)}\nDROP TABLE more;\n` }

const NEXT = makeRelease(t, laterVersion(1), ADDED)
const AFTER = makeRelease(t, laterVersion(2), { ...ADDED, ...CONTRACTED })

/** Users and machine clients that request tokens through the proxy, and a verifier that checks each one. */
function load(t: Test, cluster: Cluster, proxy: RoundRobin, sessions: readonly string[]) {
  const failures: string[] = []
  const kids = new Map<string, string>()
  const tokens = [...sessions]
  let answered = 0
  let stop = false
  const verifier = createVerifier({
    issuer: cluster.issuer,
    audience: ORDERS,
    cacheSize: 0,
    fetch: (input, init) => fetch(proxy.url + new URL(String(input)).pathname, init),
  })
  t.teardown(() => verifier.close?.())

  async function verify(token: string): Promise<void> {
    await verifier.verify(token).catch((error) => failures.push(`${kidOf(token)}: ${error}`))
  }

  async function requestToken(
    ask: () => ReturnType<RoundRobin['inject']>,
  ): Promise<{ refresh_token: string } | null> {
    const answer = await ask()
    if (answer.statusCode !== 200) {
      failures.push(`${answer.statusCode} ${answer.body}`)
      return null
    }
    answered += 1
    const response = answer.json() as { access_token: string; refresh_token: string }
    kids.set(kidOf(response.access_token), response.access_token)
    await verify(response.access_token)
    return response
  }

  const repeat = async (work: () => Promise<void>) => {
    while (!stop) {
      await work()
      await sleep(50)
    }
  }
  const running = [
    ...tokens.map((_, i) =>
      repeat(async () => {
        const response = await requestToken(() => refresh(proxy, tokens[i] ?? ''))
        if (response) tokens[i] = response.refresh_token
      }),
    ),
    ...Array.from({ length: 2 }, () =>
      repeat(async () => void (await requestToken(() => clientCredentials(proxy)))),
    ),
  ]
  return {
    failures,
    tokens,
    /** The keys that signed a delivered token. */
    kids: () => [...kids.keys()],
    /** Resolves after this many more responses. */
    async more(count: number) {
      const target = answered + count
      while (answered < target && failures.length === 0) await sleep(5)
    },
    async end() {
      stop = true
      await Promise.all(running)
      for (const token of kids.values()) await verify(token)
    },
  }
}

interface Rotated {
  readonly active: string
  readonly nodes: number
  readonly nodes_behind: readonly unknown[]
}

async function startUpgrade(t: Test, database?: string) {
  const databaseOption = database === undefined ? {} : { database }
  const cluster = await startCluster(t, { ...databaseOption, nodes: 2, settings: SETTINGS })
  const tokens = await cluster.withOpened((opened) => signIn(opened, 3))
  const proxy = await roundRobin(t)
  const serving = new Set<ClusterNode>(cluster.nodes)
  for (const node of serving) await proxy.add(node)
  const clients = load(t, cluster, proxy, tokens)
  await clients.more(20)
  return {
    cluster,
    clients,

    async start(release: Release): Promise<ClusterNode> {
      const node = await cluster.start(release.run)
      serving.add(node)
      await proxy.add(node)
      return node
    },

    async stop(node: ClusterNode | undefined): Promise<void> {
      if (!node) throw new Error('there is no such node')
      serving.delete(node)
      t.same(await node.stop(), CLEAN)
    },

    /** As this release’s command lists them. */
    async versions(release: Release): Promise<string[]> {
      const rows = await cluster.json<{ version: string }[]>(['nodes'], release.run)
      return rows.map((row) => row.version).sort()
    },

    /** With this release’s command; every node then signs with the new key. */
    async rotateBy(release: Release): Promise<void> {
      const rotated = await cluster.json<Rotated>(['keys', 'rotate', '--wait'], release.run)
      const { active, nodes, nodes_behind } = rotated
      t.same([nodes, nodes_behind], [serving.size, []], `all nodes follow a rotation by ${release.version}`)
      for (const node of serving) {
        const { access_token } = (await clientCredentials(node)).json()
        t.equal(kidOf(access_token), active)
      }
    },

    async refused(release: Release, args: readonly string[], message: string): Promise<void> {
      const { code, stderr } = await cluster.run(args, release.run)
      t.equal(code, 1)
      t.match(stderr, message)
    },

    async end(keys: number): Promise<void> {
      await clients.end()
      t.same(clients.failures, [], 'no request failed, and every token verified')
      t.equal(clients.kids().length, keys, 'of each key')
      const [node] = serving
      for (const token of clients.tokens) {
        t.equal(node && (await refresh(node, token)).statusCode, 200, 'no session was lost')
      }
      for (const { port } of cluster.nodes) t.ok((proxy.served.get(port) ?? 0) > 0, 'each node has served')
    },
  }
}

type World = Awaited<ReturnType<typeof startUpgrade>>

/** The next release is started beside two nodes of this one, and one of those is restarted. Returns the number of responses. */
async function expand(t: Test, { cluster, clients, ...world }: World): Promise<ClusterNode> {
  await world.start(NEXT)
  await clients.more(20)
  t.same(await world.versions(THIS_RELEASE), [THIS_RELEASE.version, THIS_RELEASE.version, NEXT.version])
  const status = await cluster.json<{ name: string; newer?: true }[]>(['migrate', '--status'])
  const newer = status.filter((step) => step.newer).map(({ name }) => name)
  t.same(newer, ['0900_keys', '0901_sessions'])
  await world.rotateBy(THIS_RELEASE)
  await world.rotateBy(NEXT)
  await clients.more(20)
  // The rollback: the old program starts on the schema that the new one has extended.
  await world.stop(cluster.nodes[0])
  const again = await world.start(THIS_RELEASE)
  await clients.more(20)
  return again
}

t.test(
  'rolling upgrades and a rollback on PostgreSQL interrupt no client (docs/security.md Q17)',
  async (t) => {
    const postgres = await startPostgres(t)
    const world = await startUpgrade(t as Test, await postgres.emptyDatabase())
    const { cluster, clients } = world
    const again = await expand(t as Test, world)

    const needed = `0902_less cannot be applied while a node older than ${NEXT.version} serves`
    await world.refused(AFTER, ['serve'], needed)
    await world.stop(cluster.nodes[1])
    const newest = await world.start(NEXT)
    await world.stop(again)

    // The removal: the release before it can be restarted on that schema, and the one before that cannot.
    await world.start(AFTER)
    await clients.more(20)
    await world.stop(newest)
    await world.start(NEXT)
    t.same(await world.versions(AFTER), [NEXT.version, NEXT.version, AFTER.version])
    const older = `the database has 0902_less, after which only keyturn ${NEXT.version} and later can use it, and this is ${THIS_RELEASE.version}`
    await world.refused(THIS_RELEASE, ['serve'], older)
    await world.refused(THIS_RELEASE, ['clients', 'list'], older)
    await clients.more(20)
    await world.end(3)
  },
)

t.test('rolling upgrades with several processes on one SQLite file interrupt no client', async (t) => {
  const world = await startUpgrade(t as Test)
  await expand(t as Test, world)
  await world.stop(world.cluster.nodes[1])
  await world.end(3)
})
