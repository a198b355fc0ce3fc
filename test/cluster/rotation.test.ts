/**
 * Three nodes on one PostgreSQL, each a process: ten rotations under load, half of them by command and half by the nodes
 * themselves, watched by twenty verifiers and by somebody who writes everything down (issue 5; H92, SECURITY §4 rows 9, 10).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { createStore, openDb, type Store } from '../../src/store/index.ts'
import { systemClock } from '../../src/system.ts'
import { createVerifier } from '../../src/verify/index.ts'
import { kidOf } from '../support/caching-verifier.ts'
import { testCli } from '../support/cli.ts'
import { type Cluster, type ClusterNode, startCluster } from '../support/cluster.ts'
import { signIn } from '../support/folder.ts'
import { startPostgres } from '../support/postgres.ts'
import { clientCredentials, refresh } from '../support/requests.ts'
import {
  complaints,
  type JwksSeen,
  longestLag,
  type RingSeen,
  type TokenSeen,
  type Witnessed,
} from '../support/ring-witness.ts'
import { ORDERS } from '../support/seed.ts'

const JWKS = '/.well-known/jwks.json'
/** Of which a verifier uses half a second: nodes may be a second apart (docs/rotation.md). */
const SETTINGS = { VERIFIER_CACHE: '2s', KEY_ROTATION: '1m', REFRESH_GRACE: '1m' }
const HELD_MS = 500
/** "Within about a second", with room for a machine that does other things as well. */
const LAG_MS = 2000
const ROTATIONS = 10

const postgres = await startPostgres(t)

interface Shown {
  readonly kid: string
  readonly state: string
}

function watch(cluster: Cluster, store: Store, test: Test) {
  const tokens: TokenSeen[] = []
  const sets: JwksSeen[] = []
  const rings: RingSeen[] = []
  const failures: string[] = []
  /** The last token of each key: they go on being verified. */
  const kept = new Map<string, string>()
  let verified = 0
  let fetches = 0
  let stop = false

  /** As a verifier's fetch; what it is given is written down. */
  async function fetchFrom(n: number, path: string, init?: RequestInit): Promise<Response> {
    const node = n % cluster.nodes.length
    const asked = performance.now()
    const response = await fetch(cluster.at(node).url + path, init)
    const text = await response.text()
    const came = performance.now()
    if (response.status === 200 && path === JWKS) {
      const { keys } = JSON.parse(text) as { keys: { kid: string }[] }
      sets.push({ node, asked, came, kids: new Set(keys.map(({ kid }) => kid)) })
    }
    const { status, headers } = response
    return new Response(status === 304 ? null : text, { status, headers })
  }

  /** Holds its keys for as long as it may, asks another node each time, and never because of an unknown kid. */
  function strict(n: number) {
    let turn = n
    const keys = createRemoteJWKSet(new URL(cluster.issuer + JWKS), {
      cacheMaxAge: HELD_MS,
      cooldownDuration: Number.POSITIVE_INFINITY,
      timeoutDuration: 20_000,
      [customFetch]: (_url, init) => {
        turn += 1
        fetches += 1
        return fetchFrom(turn, JWKS, init)
      },
    })
    return async (token: string): Promise<unknown> =>
      jwtVerify(token, keys, { issuer: cluster.issuer, audience: ORDERS, typ: 'at+jwt' })
  }

  /** As a microservice has it: cached as the server says, fetched again for an unknown kid, by turns. */
  function ours(n: number) {
    let turn = n
    const verifier = createVerifier({
      issuer: cluster.issuer,
      audience: ORDERS,
      cacheSize: 0,
      timeoutMs: 20_000,
      fetch: (input, init) => {
        turn += 1
        fetches += 1
        return fetchFrom(turn, new URL(String(input)).pathname, init)
      },
    })
    test.teardown(() => verifier.close?.())
    return async (token: string): Promise<unknown> => verifier.verify(token)
  }
  const verifiers = Array.from({ length: 20 }, (_, n) => (n < 12 ? strict(n) : ours(n)))

  async function verifyAt(which: typeof verifiers, token: string): Promise<void> {
    await Promise.all(
      which.map(async (verify) => {
        verified += 1
        await verify(token).catch((error) => failures.push(`${kidOf(token).slice(0, 6)}: ${error}`))
      }),
    )
  }

  async function take(n: number, ask: (node: ClusterNode) => ReturnType<ClusterNode['inject']>) {
    const node = n % cluster.nodes.length
    const asked = performance.now()
    const answer = await ask(cluster.at(node))
    const came = performance.now()
    if (answer.statusCode !== 200) {
      failures.push(`${answer.statusCode} ${answer.body}`)
      return null
    }
    const response = answer.json() as { access_token: string; refresh_token: string }
    const kid = kidOf(response.access_token)
    tokens.push({ node, asked, came, kid })
    kept.set(kid, response.access_token)
    return response
  }

  const forever = async (pause: number, work: (turn: number) => Promise<void>) => {
    for (let turn = 0; !stop; turn += 1) {
      await work(turn)
      await sleep(pause)
    }
  }

  /** A machine that asks this node. A few verifiers see the token at once, the others in turns. */
  const machine = (node: number) =>
    forever(60, async (turn) => {
      const response = await take(node, clientCredentials)
      const some = verifiers.filter((_, n) => n % 5 === turn % 5)
      if (response) await verifyAt(some, response.access_token)
    })

  /** Somebody whose refreshes go to all nodes in turn. */
  const session = (first: string) => {
    let token = first
    return forever(150, async (turn) => {
      const response = await take(turn, (node) => refresh(node, token))
      if (!response) return
      token = response.refresh_token
      await verifyAt(verifiers, response.access_token)
    })
  }

  const reading = async () => {
    const asked = performance.now()
    const ring = await store.ring.read()
    const came = performance.now()
    const kids = (state: string) =>
      (ring?.keys ?? []).filter((key) => key.state === state).map(({ kid }) => kid)
    rings.push({ asked, came, active: kids('active'), next: kids('next') })
  }

  const observers = () => [
    ...cluster.nodes.map((_, node) => forever(30, async () => void (await fetchFrom(node, JWKS)))),
    forever(15, reading),
  ]
  const work: Promise<unknown>[] = observers()
  return {
    tokens,
    sets,
    rings,
    failures,
    counts: () => ({ verified, fetches }),
    begin(sessions: readonly string[]): void {
      work.push(
        ...cluster.nodes.flatMap((_, node) => [machine(node), machine(node)]),
        ...sessions.map(session),
      )
      // Tokens of long ago are verified as well.
      work.push(
        forever(1000, async () => {
          for (const token of kept.values()) await verifyAt(verifiers, token)
        }),
      )
    },
    async end(): Promise<void> {
      stop = true
      await Promise.allSettled(work)
      for (const token of kept.values()) await verifyAt(verifiers, token)
    },
  }
}

/** The active key grows old: nodes that rotate after a minute find it due. */
async function age(store: Store): Promise<void> {
  for (;;) {
    const ring = await store.ring.read()
    if (!ring) throw new Error('the ring is gone')
    const keys = ring.keys.map((key) =>
      key.state === 'active' ? { ...key, signsFrom: (key.signsFrom ?? 0) - 60 } : key,
    )
    if (await store.ring.replace(ring, { ...ring, version: ring.version + 1, keys })) return
  }
}

t.test('what would be said of nodes that do it wrong', async (t) => {
  const set = (node: number, at: number, ...kids: string[]): JwksSeen => ({
    node,
    asked: at,
    came: at + 1,
    kids: new Set(kids),
  })
  const token = (node: number, at: number, kid: string): TokenSeen => ({ node, asked: at, came: at + 1, kid })
  const ring = (at: number, active: string[], next: string[]): RingSeen => ({
    asked: at,
    came: at + 1,
    active,
    next,
  })
  const good: Witnessed = {
    nodes: 2,
    order: ['a', 'b'],
    tokens: [token(0, 20, 'a'), token(1, 21, 'a'), token(0, 50, 'b'), token(1, 55, 'a'), token(1, 60, 'b')],
    sets: [set(0, 10, 'a', 'b'), set(1, 10, 'a', 'b'), set(0, 70, 'a', 'b', 'c'), set(1, 75, 'a', 'b', 'c')],
    rings: [ring(10, ['a'], ['b']), ring(50, ['b'], ['c'])],
    lagMs: 10,
  }
  t.same(complaints(good), [])
  const said = (changed: Partial<Witnessed>) => complaints({ ...good, ...changed }).join('; ')
  const tokens = (...more: TokenSeen[]) => said({ tokens: [...good.tokens, ...more] })
  const rings = (...more: RingSeen[]) => said({ rings: [...good.rings, ...more] })
  t.match(tokens(token(0, 80, 'c')), 'c, which no rotation made active')
  t.match(said({ sets: good.sets.slice(1) }), 'b signed at node 0 before node 0 was seen to have it')
  t.match(said({ sets: [...good.sets, set(1, 30, 'a')] }), 'node 1 served a JWKS without b after one with it')
  t.match(tokens(token(1, 5, 'b')), 'node 1 signed with b, which was next')
  t.match(tokens(token(0, 61, 'a')), 'node 0 went back to a')
  t.match(said({ lagMs: 3 }), 'node 1 signed with a 4 ms after a newer key was used')
  t.match(rings(ring(60, ['a', 'b'], ['c'])), '2 active and 1 next')
  t.match(rings(ring(60, ['b'], [])), '1 active and 0 next')
  t.match(rings(ring(60, ['a'], ['c'])), 'a was active after a later key')
})

t.test(
  'ten rotations under load at three nodes: every token verifies at each of twenty verifiers, every key was at all nodes before it signed (H92, §4 rows 9 and 10)',
  async (t) => {
    const url = await postgres.emptyDatabase()
    const cluster = await startCluster(t, { database: url, settings: SETTINGS })
    const db = openDb(url)
    const store = createStore(db)
    const sessions = await cluster.inside((inside) => signIn(inside, 2))
    const cli = testCli(t as Test)
    const settings = cluster.folder.settings
    const watching = watch(cluster, store, t as Test)
    t.teardown(async () => {
      await watching.end()
      await db.close()
    })
    const activeKey = async () =>
      (await store.ring.read())?.keys.find(({ state }) => state === 'active')?.kid ?? ''

    const order = [await activeKey()]
    while (new Set(watching.sets.map(({ node }) => node)).size < 3) await sleep(10)
    watching.begin(sessions)

    for (let rotation = 1; rotation <= ROTATIONS; rotation += 1) {
      const before = order.at(-1)
      if (rotation % 2 === 1) {
        const { active, nodes, nodes_behind } = await cluster.json(['keys', 'rotate', '--wait'])
        t.same([nodes, nodes_behind], [3, []], 'the command says that all nodes have switched')
        t.not(active, before)
      } else {
        await age(store)
        while ((await activeKey()) === before) await sleep(20)
      }
      order.push(await activeKey())
      const { out } = await cli.run(['keys', 'list', '--json'], { settings, clock: systemClock })
      const states = (JSON.parse(out) as Shown[]).map(({ state }) => state).sort()
      t.same(states, ['active', 'next', ...Array(rotation).fill('retiring')], 'one active key, one next')
    }
    const ring = await store.ring.read()
    t.equal(ring?.version, 1 + ROTATIONS + ROTATIONS / 2, 'nobody rotated twice for one occasion')
    t.equal(ring?.keys.length, ROTATIONS + 2)
    const signed = (kid: string) =>
      new Set(watching.tokens.filter((token) => token.kid === kid).map(({ node }) => node)).size
    for (let looks = 0; signed(order.at(-1) ?? '') < 3 && looks < 50; looks += 1) await sleep(100)
    await watching.end()

    const { tokens, sets, rings, failures, counts } = watching
    const seen = { nodes: 3, order, tokens, sets, rings, lagMs: LAG_MS }
    t.same([...new Set(failures)], [], 'no token was refused, no request failed')
    t.same(complaints(seen).slice(0, 20), [])
    t.same(order.map(signed), Array(ROTATIONS + 1).fill(3), 'each key has signed at each node')
    const { verified, fetches } = counts()
    t.comment(
      `${tokens.length} tokens, ${verified} verifications, ${fetches} fetches, ${sets.length} key sets, ${rings.length} readings, lag ${longestLag(seen)} ms`,
    )
    t.ok(tokens.length > 300 && verified > 5000 && rings.length > 300, 'enough was seen')
  },
)
