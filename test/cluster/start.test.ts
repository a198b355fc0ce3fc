/** Many processes that start or rotate in the same instant on one PostgreSQL (docs/security.md Q9). */
import t from 'tap'
import { startPostgres } from '../support/postgres/postgres.ts'
import { type Cluster, startCluster } from '../support/processes/cluster.ts'
import { spread } from '../support/processes/cluster-races.ts'
import { script, source } from '../support/processes/script.ts'
import { clientCredentials, kidOf } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'

const NODES = 8
const ROTATORS = 4
const ROUNDS = 10

const postgres = await startPostgres(t)
const database = await postgres.emptyDatabase()

/** An empty database without a schema or key ring. */
const cluster = await startCluster(t, {
  database,
  nodes: NODES,
  fill: null,
  settings: { DATABASE_POOL: '3' },
})

const jwksOf = async ({ nodes }: Cluster) =>
  Promise.all(nodes.map(async (node) => (await node.inject({ url: '/.well-known/jwks.json' })).body))

t.test(
  'eight nodes starting at once on an empty database create one key ring (docs/security.md Q9, Q11)',
  async (t) => {
    const served = await jwksOf(cluster)
    t.equal(new Set(served).size, 1, 'all serve the same key set')
    const ring = await cluster.withOpened(({ store }) => store.ring.read())
    t.same([ring?.version, ring?.keys.map(({ state }) => state).sort()], [1, ['active', 'next']])
    const kids = (JSON.parse(served[0] ?? '') as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)
    t.same(kids.sort(), ring?.keys.map(({ kid }) => kid).sort(), 'the served keys are those of the key ring')
    const firsts = cluster.nodes.filter(({ stdout }) => JSON.parse(stdout()).first_start)
    t.ok(firsts.length >= 1)
    const created = cluster.nodes.flatMap(({ stderr }) => stderr().match(/"audit":"keys.created"/g) ?? [])
    t.equal(created.length, 1, 'the key ring was created once')
    const listed = await cluster.json<{ state: string; ring_version: number }[]>(['nodes'])
    t.same(
      listed.map(({ state, ring_version }) => [state, ring_version]),
      Array(NODES).fill(['serving', 1]),
      'eight nodes are registered',
    )

    await cluster.withOpened(({ store }) => seed(store))
    const tokens = await spread(cluster, NODES, (node) => clientCredentials(node))
    const active = ring?.keys.find(({ state }) => state === 'active')?.kid
    for (const answer of tokens)
      t.equal(kidOf(answer.json().access_token), active, 'signed with the one active key')
  },
)

/** Forced, so that only the race decides the outcome, and with elliptic keys, so that all processes reach the swap together. */
const ROTATOR = `
  import { openKeys } from '${source('keys/index.ts')}'
  import { openBase } from '${source('node/base.ts')}'
  import { loadConfig } from '${source('config/load.ts')}'
  import { rotateRing } from '${source('keys/rotate.ts')}'
  const [settings, rounds, from, every] = process.argv.slice(1)
  const rotated = []
  const logger = { info: ({ audit, kid }) => audit === 'keys.rotated' && rotated.push(kid), warn() {}, error() {}, debug() {} }
  const base = await openBase(loadConfig(JSON.parse(settings), '/nonexistent'), { logger }, 'create')
  const keys = await openKeys(base)
  const answered = []
  for (let round = 0; round < Number(rounds); round += 1) {
    await new Promise((go) => setTimeout(go, Number(from) + round * Number(every) - Date.now()))
    const ring = await rotateRing(keys, { actor: 'test', force: true, alg: 'ES256' })
    const kidOf = (state) => ring.keys.find((key) => key.state === state).kid
    answered.push({ active: kidOf('active'), next: kidOf('next'), version: ring.version })
  }
  await base.store.db.close()
  console.log(JSON.stringify({ rotated, answered }))
`

interface RotatorResult {
  /** Keys that this process activated, according to its audit trail. */
  readonly rotated: readonly string[]
  /** The result of each round. */
  readonly answered: readonly { readonly active: string; readonly next: string; readonly version: number }[]
}

t.test(
  'each of ten rounds of four concurrent forced rotations publishes one new key (docs/security.md Q9)',
  async (t) => {
    const settings = JSON.stringify(
      Object.fromEntries(
        Object.entries(cluster.folder.settings).map(([name, value]) => [`KEYTURN_${name}`, value]),
      ),
    )
    const before = await cluster.withOpened(({ store }) => store.ring.read())
    const args = [settings, String(ROUNDS), String(Date.now() + 3000), '150']
    const runs = await Promise.all(Array.from({ length: ROTATORS }, () => script(ROTATOR, args)))
    t.same(
      runs.filter(({ code }) => code !== 0).map(({ stderr }) => stderr),
      [],
    )
    const results = runs.map(({ stdout }) => JSON.parse(stdout) as RotatorResult)
    const ring = await cluster.withOpened(({ store }) => store.ring.read())
    if (!before || !ring) throw new Error('there is no ring')

    const rotations = ring.version - before.version
    t.comment(`${rotations} rotations for ${ROTATORS} × ${ROUNDS} requests`)
    t.ok(rotations >= ROUNDS && rotations <= ROTATORS * ROUNDS)
    const fresh = ring.keys.slice().filter(({ kid }) => !before.keys.some((key) => key.kid === kid))
    t.equal(fresh.length, rotations, 'as many new keys as rotations')
    t.equal(new Set(ring.keys.map(({ kid }) => kid)).size, ring.keys.length, 'no kid appears twice')
    const inOrder = fresh.map(({ publishedIn }) => publishedIn).sort((a, b) => a - b)
    t.same(
      inOrder,
      Array.from({ length: rotations }, (_, n) => before.version + 1 + n),
      'one for each version',
    )
    const states = ring.keys.map(({ state }) => state).filter((state) => state !== 'retiring')
    t.same(states.sort(), ['active', 'next'])

    const done = results.flatMap(({ rotated }) => rotated)
    t.equal(done.length, rotations, 'each version was made by one process')
    t.equal(new Set(done).size, rotations, 'no key was activated twice')
    const known = new Set(ring.keys.map(({ kid }) => kid))
    const answered = results.flatMap(({ answered }) => answered)
    t.equal(answered.length, ROTATORS * ROUNDS)
    t.same(
      answered.filter(({ active, next }) => !known.has(active) || !known.has(next)),
      [],
      'no key that was reported is lost',
    )
    const versions = new Map<number, Set<string>>()
    for (const { version, active } of answered)
      versions.set(version, (versions.get(version) ?? new Set()).add(active))
    t.same(
      [...versions.values()].filter(({ size }) => size !== 1),
      [],
      'processes that report the same version report the same active key',
    )

    const all = [...known].sort().join()
    await cluster.everywhere(async (node) => {
      const { keys } = (await node.inject({ url: '/.well-known/jwks.json' })).json() as {
        keys: { kid: string }[]
      }
      return (
        keys
          .map(({ kid }) => kid)
          .sort()
          .join() === all
      )
    })
    t.equal(new Set(await jwksOf(cluster)).size, 1, 'all nodes serve all of them')
  },
)
