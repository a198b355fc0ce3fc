/**
 * Three nodes on one PostgreSQL, each in its own process: single-use values work once in the
 * whole cluster, and a change on one node reaches all nodes.
 */
import t, { type Test } from 'tap'
import { hashPassword } from '../../src/accounts/password.ts'
import { LIMITS } from '../../src/accounts/rate-limiter.ts'
import { systemClock } from '../../src/system.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { testCli } from '../support/processes/cli.ts'
import { type ClusterNode, startCluster } from '../support/processes/cluster.ts'
import {
  assertionRace,
  codeRace,
  endedEverywhere,
  fill,
  isListedAsRevoked,
  refreshRace,
  spread,
} from '../support/processes/cluster-races.ts'
import {
  basic,
  claimsOf,
  clientCredentials,
  kidOf,
  login,
  post,
  refresh,
} from '../support/server/requests.ts'
import { client, user } from '../support/server/seed.ts'
import { isActive, revoke, signedIn } from '../support/server/tokens.ts'

const USER_SUPPLIED = 'a secret that a user chose'

const postgres = await startPostgres(t)
const cluster = await startCluster(t, {
  database: await postgres.database(t),
  async fill(store) {
    await fill(store)
    for (const username of ['carol', 'dave', 'erin', 'frank'])
      await store.users.insert(await user({ username }))
    await store.clients.insert(client({ id: 'leaving' }))
    await store.clients.insert(client({ id: 'chosen', secretHash: await hashPassword(USER_SUPPLIED) }))
  },
})

/** A command beside the nodes, with their settings. */
async function command(args: readonly string[], input = ''): Promise<void> {
  const { settings } = cluster.folder
  const { code, err } = await testCli(t).run(args, { settings, clock: systemClock, input })
  if (code !== 0) throw new Error(`${args.join(' ')}: ${err}`)
}

t.test(
  'one refresh token used fifty times at once on three nodes has one successor, may be retried, and a replay revokes it everywhere (RFC 9700 §4.14.2; docs/security.md F68, F69, F75, P1)',
  (t) => refreshRace(t as Test, cluster, 50),
)

t.test(
  'one code used fifty times at once on three nodes is redeemed once, and its tokens are revoked everywhere (RFC 6749 §4.1.2; docs/security.md E59)',
  (t) => codeRace(t as Test, cluster, 50),
)

t.test(
  'one client assertion used concurrently on three nodes is accepted once, in twenty of twenty rounds (RFC 7523 §3; docs/security.md B23, P6)',
  (t) => assertionRace(t as Test, cluster, 20),
)

t.test(
  'wrong passwords are counted across all nodes, however they are distributed (RFC 6749 §10.10; docs/security.md P5)',
  async (t) => {
    const guesses = await spread(cluster, 12, (node) => login(node, { username: 'carol', password: 'wrong' }))
    const count = (status: number) => guesses.filter(({ statusCode }) => statusCode === status).length
    t.same([count(400), count(429)], [LIMITS.pair.burst, 12 - LIMITS.pair.burst])
    for (const node of cluster.nodes) {
      t.equal(
        (await login(node, { username: 'carol' })).statusCode,
        429,
        'the right password is not even checked',
      )
    }
    t.equal((await login(cluster.at(0))).statusCode, 200, 'no one else is affected')
  },
)

t.test(
  'every node refuses a disabled user, and within a second a disabled client (RFC 6749 §5.2, RFC 7662 §4; docs/security.md E62)',
  async (t) => {
    const pair = await signedIn(cluster.at(0), { username: 'dave' })
    await command(['users', 'disable', 'dave'])
    for (const node of cluster.nodes) {
      t.equal((await refresh(node, pair.refresh_token)).json().error, 'invalid_grant', 'a refresh')
      t.equal((await login(node, { username: 'dave' })).json().error, 'invalid_grant', 'a login')
      t.notOk(await isActive(node, pair.access_token))
    }

    const tokens: string[] = []
    for (const node of cluster.nodes)
      tokens.push((await clientCredentials(node, {}, 'leaving')).json().access_token)
    await command(['clients', 'disable', 'leaving'])
    await cluster.everywhere(
      async (node) => (await clientCredentials(node, {}, 'leaving')).statusCode === 401,
    )
    t.pass('refused everywhere')
    for (const token of tokens) {
      await cluster.everywhere((node) => isListedAsRevoked(node, token))
      t.pass('its tokens are revoked everywhere')
    }
    await command(['clients', 'enable', 'leaving'])
    await cluster.everywhere(
      async (node) => (await clientCredentials(node, {}, 'leaving')).statusCode === 200,
    )
    t.pass('and accepted again')
  },
)

t.test(
  'a new client secret invalidates the old one on every node that had cached it (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const ask = (node: ClusterNode, secret: string) =>
      post(
        node,
        '/oauth2/token',
        { grant_type: 'client_credentials' },
        { authorization: basic('chosen', secret) },
      )
    for (const node of cluster.nodes) t.equal((await ask(node, USER_SUPPLIED)).statusCode, 200)
    await command(['clients', 'rotate-secret', 'chosen', '--secret-stdin'], `${USER_SUPPLIED}, and another`)
    await cluster.everywhere(async (node) => (await ask(node, USER_SUPPLIED)).statusCode === 401)
    t.pass('at every node')
    for (const node of cluster.nodes)
      t.equal((await ask(node, `${USER_SUPPLIED}, and another`)).statusCode, 200)
  },
)

t.test('tokens of all nodes have unique status list indices and unique jti values', async (t) => {
  const tokens: string[] = []
  for (let round = 0; round < 4; round += 1) {
    const answers = await spread(cluster, 90, (node) => clientCredentials(node))
    t.same(new Set(answers.map(({ statusCode }) => statusCode)), new Set([200]))
    tokens.push(...answers.map((answer) => answer.json().access_token))
  }
  const distinct = (what: (claims: Record<string, unknown>) => unknown) =>
    new Set(tokens.map((token) => JSON.stringify(what(claimsOf(token))))).size
  t.same([distinct(({ status }) => status), distinct(({ jti }) => jti)], [360, 360])

  const [one = '', ...others] = tokens
  await revoke(cluster.at(2), one, 'machine')
  await cluster.everywhere((node) => isListedAsRevoked(node, one))
  t.pass('revoked everywhere')
  for (const other of others.slice(0, 20))
    t.notOk(await isListedAsRevoked(cluster.at(0), other), 'no other session is revoked')
})

t.test(
  'sessions ended by a command are ended on every node (RFC 9700 §4.14.2; docs/security.md F72)',
  async (t) => {
    const pairs = await spread(cluster, 3, (node) => signedIn(node, { username: 'frank' }))
    const [one, ...others] = pairs
    if (!one) throw new Error('no one is signed in')
    await command(['sessions', 'revoke', '--id', String(claimsOf(one.access_token).sid)])
    await endedEverywhere(t as Test, cluster, one)
    for (const { refresh_token } of others)
      t.ok(await isActive(cluster.at(0), refresh_token), 'the other sessions continue')
    await command(['sessions', 'revoke', '--user', 'frank'])
    for (const pair of others) await endedEverywhere(t as Test, cluster, pair)
  },
)

t.test(
  'keys rotate names a paused node, which follows as soon as it resumes (docs/security.md Q18)',
  async (t) => {
    const frozen = cluster.at(1)
    process.kill(frozen.pid, 'SIGSTOP')
    interface Rotated {
      readonly active: string
      readonly nodes: number
      readonly nodes_behind: readonly { readonly pid: number }[]
    }
    const { active, nodes, nodes_behind } = await cluster
      .json<Rotated>(['keys', 'rotate'])
      .finally(() => process.kill(frozen.pid, 'SIGCONT'))
    t.same([nodes, nodes_behind.map(({ pid }) => pid)], [3, [frozen.pid]])
    await cluster.everywhere(
      async (node) => kidOf((await clientCredentials(node)).json().access_token) === active,
    )
    t.pass('at every node')
  },
)

t.test(
  'a revoked key leaves every node, and all nodes sign with the next key (OpenID Connect Core §10.1.1; docs/security.md H92)',
  async (t) => {
    const { access_token: old } = (await clientCredentials(cluster.at(0))).json()
    await command(['keys', 'revoke', kidOf(old)])
    await cluster.everywhere(async (node) => {
      const { keys } = (await node.inject({ url: '/.well-known/jwks.json' })).json<{
        keys: { kid: string }[]
      }>()
      return keys.every(({ kid }) => kid !== kidOf(old))
    })
    t.pass('at every node')
    const kids = new Set<string>()
    for (const node of cluster.nodes) {
      kids.add(kidOf((await clientCredentials(node)).json().access_token))
      t.notOk(await isActive(node, old, 'machine'), 'tokens signed with it are no longer accepted')
    }
    t.equal(kids.size, 1)
    t.notOk(kids.has(kidOf(old)))
  },
)
