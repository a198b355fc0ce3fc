/**
 * Two nodes as real processes on one failing PostgreSQL: what clients see, what is lost (nothing acknowledged), and
 * that they recover (docs/security.md Q4, Q6, Q9, Q17).
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { CUT_ALL, run } from '../support/postgres/databases.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { emptyFolder, type Folder, signIn, withOpened } from '../support/processes/data-folder.ts'
import { keyturn, type ServerProcess, startServer } from '../support/processes/process.ts'
import { claimsOf, clientCredentials, kidOf, refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'

const postgres = await startPostgres(t)

interface World {
  readonly folder: Folder
  readonly url: string
  readonly nodes: readonly [ServerProcess, ServerProcess]
  /** One session of alice for each token. */
  readonly tokens: string[]
}

/** Started once: the nodes must survive all faults, one after the other. */
const shared = await begin()

async function begin(): Promise<World> {
  const url = await postgres.emptyDatabase()
  const folder = emptyFolder(t, {
    DATABASE_URL: url,
    DATABASE_TIMEOUT: '3s',
    DATABASE_POOL: '3',
    MASTER_KEY: randomBytes(32).toString('base64url'),
    ISSUER: 'http://localhost:3000',
    // A client that got no response retries within the window.
    REFRESH_GRACE: '60s',
  })
  const tokens = await withOpened(folder, async (opened) => {
    await seed(opened.store)
    return signIn(opened, 20)
  })
  const nodes = await Promise.all([startServer(t, folder), startServer(t, folder)])
  return { folder, url, nodes, tokens }
}

/** With sessions that no other test has used. */
const world = (sessions: number): World => ({ ...shared, tokens: shared.tokens.splice(0, sessions) })

const status = async (server: ServerProcess, path: string) => (await server.inject({ url: path })).statusCode

async function until(server: ServerProcess, wanted: number): Promise<void> {
  while ((await status(server, '/health/ready')) !== wanted) await sleep(20)
}

function unavailable(t: Test, answer: LightMyRequestResponse): void {
  t.equal(answer.statusCode, 503, answer.body)
  t.equal(answer.json().error, 'temporarily_unavailable')
  t.ok(Number(answer.headers['retry-after']) >= 1)
  t.notMatch(
    answer.body,
    /postgres|127\.0\.0\.1|database|connect|keyturn/i,
    'and reveals nothing about the store',
  )
}

/** What needs no store works, whatever happens to it. */
async function stillServed(t: Test, server: ServerProcess): Promise<void> {
  t.equal(await status(server, '/health/live'), 200)
  t.equal(await status(server, '/.well-known/jwks.json'), 200)
}

/** A client that repeats on any node each request that got no response or 503. */
async function retryingClient(
  world: World,
  start: string,
  seen: { unavailable: number; other: string[] },
  stop: () => boolean,
) {
  let token = start
  for (let turn = 0; !stop(); turn += 1) {
    const node = world.nodes[turn % 2] as ServerProcess
    const answer = await refresh(node, token)
    if (answer.statusCode === 200) token = answer.json().refresh_token
    else if (answer.statusCode === 503 && answer.json().error === 'temporarily_unavailable') {
      if (!answer.headers['retry-after']) seen.other.push('503 without Retry-After')
      seen.unavailable += 1
      await sleep(20)
    } else seen.other.push(`${answer.statusCode} ${answer.body}`)
  }
  return token
}

t.test(
  'a PostgreSQL crash under load causes 503 until it is back, and no session is lost (docs/security.md Q6)',
  async (t) => {
    const w = world(6)
    const seen = { unavailable: 0, other: [] as string[] }
    let stop = false
    const clients = w.tokens.map((token) => retryingClient(w, token, seen, () => stop))
    for (let round = 0; round < 2; round += 1) {
      await sleep(400)
      await postgres.crash()
      await Promise.all(w.nodes.map((node) => until(node, 503)))
      for (const node of w.nodes) {
        await stillServed(t as Test, node)
        unavailable(t as Test, await refresh(node, w.tokens[0] ?? ''))
      }
      await postgres.restart()
      await Promise.all(w.nodes.map((node) => until(node, 200)))
    }
    await sleep(300)
    stop = true
    const last = await Promise.all(clients)
    t.same(seen.other, [])
    t.ok(seen.unavailable > 0)
    for (const token of last) {
      const answer = await refresh(w.nodes[0], token)
      t.equal(answer.statusCode, 200, 'everything acknowledged is stored')
      claimsOf(answer.json().access_token)
    }
  },
)

t.test('connections that are cut repeatedly under load end no session (docs/security.md Q6)', async (t) => {
  const w = world(6)
  const seen = { unavailable: 0, other: [] as string[] }
  let stop = false
  const clients = w.tokens.map((token) => retryingClient(w, token, seen, () => stop))
  for (let round = 0; round < 15; round += 1) {
    await sleep(60)
    await run(w.url, CUT_ALL)
  }
  stop = true
  const last = await Promise.all(clients)
  t.same(seen.other, [])
  for (const token of last) t.equal((await refresh(w.nodes[1], token)).statusCode, 200)
  await Promise.all(w.nodes.map((node) => until(node, 200)))
})

t.test(
  'an exhausted connection pool causes 503 after the timeout, and service recovers (docs/security.md Q6)',
  async (t) => {
    const w = world(3)
    // Writers to a session wait for a transaction that does not end.
    const client = new (await import('pg')).default.Client({ connectionString: w.url })
    await client.connect()
    t.teardown(() => client.end())
    await client.query('BEGIN; LOCK TABLE client_sessions IN EXCLUSIVE MODE')
    const refused = await Promise.all(
      Array.from({ length: 12 }, (_, i) => refresh(w.nodes[0], w.tokens[i % 3] ?? '')),
    )
    for (const answer of refused) unavailable(t as Test, answer)
    await stillServed(t as Test, w.nodes[0])
    await client.query('ROLLBACK')
    await until(w.nodes[0], 200)
    for (const token of w.tokens) t.equal((await refresh(w.nodes[0], token)).statusCode, 200)
  },
)

t.test(
  'a database that became read-only makes the node unready until it can write (docs/security.md Q4)',
  async (t) => {
    const w = world(1)
    const name = new URL(w.url).pathname.slice(1)
    await run(postgres.admin, `ALTER DATABASE ${name} SET default_transaction_read_only = on`)
    await run(w.url, CUT_ALL)
    const [node] = w.nodes
    unavailable(t as Test, await refresh(node, w.tokens[0] ?? ''))
    t.equal(await status(node, '/health/ready'), 503)
    await stillServed(t as Test, node)
    await run(postgres.admin, `ALTER DATABASE ${name} RESET ALL`)
    await until(node, 200)
    t.equal((await refresh(node, w.tokens[0] ?? '')).statusCode, 200, 'the refresh token was not consumed')
  },
)

t.test('an unresponsive database causes 503, not a hanging node (docs/security.md Q6)', async (t) => {
  const w = world(1)
  const [node] = w.nodes
  postgres.freeze()
  try {
    const refused = refresh(node, w.tokens[0] ?? '')
    await stillServed(t as Test, node)
    unavailable(t as Test, await refused)
    await until(node, 503)
  } finally {
    postgres.thaw()
  }
  await until(node, 200)
  t.equal((await refresh(node, w.tokens[0] ?? '')).statusCode, 200)
})

t.test('a node stops while the database does not respond (docs/security.md Q17)', async (t) => {
  const { folder, nodes } = world(0)
  const node = await startServer(t as Test, folder, { settings: { DATABASE_TIMEOUT: '1s' } })
  await until(node, 200)
  postgres.freeze()
  t.teardown(() => postgres.thaw())
  t.same(await node.stop(), { code: 0, signal: null })
  postgres.thaw()
  await Promise.all(nodes.map((one) => until(one, 200)))
})

t.test(
  'one refresh token used fifty times at once on two nodes has one successor, and a replay revokes it (RFC 9700 §4.14.2; docs/security.md F68, F69)',
  async (t) => {
    const { nodes, tokens } = world(1)
    const [first = ''] = tokens
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => refresh(nodes[(i % 2) as 0 | 1], first)),
    )
    t.same(new Set(answers.map((answer) => answer.statusCode)), new Set([200]))
    const successors = new Set(answers.map((answer) => answer.json().refresh_token))
    t.equal(successors.size, 1)
    const [second] = successors
    const third = (await refresh(nodes[1], second)).json().refresh_token
    t.equal((await refresh(nodes[0], first)).statusCode, 400, 'the replay')
    for (const node of nodes)
      t.equal((await refresh(node, third)).statusCode, 400, 'revokes the session on both')
  },
)

t.test(
  'two nodes and two commands rotating in the same instant create one new key (docs/security.md Q9)',
  async (t) => {
    const { folder, nodes } = world(1)
    const before = (await nodes[0].inject({ url: '/.well-known/jwks.json' })).json().keys as { kid: string }[]
    const rotations = await Promise.all([
      keyturn(folder, ['keys', 'rotate', '--json']),
      keyturn(folder, ['keys', 'rotate', '--json']),
    ])
    const done = rotations.filter(({ code }) => code === 0)
    t.ok(done.length >= 1, rotations.map(({ stderr }) => stderr).join())
    const ring = JSON.parse((await keyturn(folder, ['keys', 'list', '--json'])).stdout) as {
      kid: string
      state: string
    }[]
    const count = (state: string) => ring.filter((key) => key.state === state).length
    t.same([count('active'), count('next')], [1, 1])
    t.equal(ring.length, before.length + 1, 'one new key')
    for (const node of nodes) {
      for (;;) {
        const { keys } = (await node.inject({ url: '/.well-known/jwks.json' })).json() as {
          keys: { kid: string }[]
        }
        if (ring.every(({ kid }) => keys.some((key) => key.kid === kid))) break
        await sleep(50)
      }
      const token = (await clientCredentials(node)).json().access_token
      const kid = kidOf(token)
      t.equal(kid, ring.find(({ state }) => state === 'active')?.kid, 'and each node signs with it')
    }
  },
)
