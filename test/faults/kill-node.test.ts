/**
 * One of two nodes is killed (SIGKILL) under load: what clients see, what is lost (nothing acknowledged), and what the
 * other node takes over (docs/security.md Q1, Q9, Q17).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createLocalJWKSet, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { prune } from '../../src/node/prune.ts'
import { isServing, NODE_TIMEOUT } from '../../src/store/contracts/nodes.ts'
import { RETENTION } from '../../src/store/retention.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { type Cluster, type ClusterNode, startCluster } from '../support/processes/cluster.ts'
import { signIn } from '../support/processes/data-folder.ts'
import { testClock } from '../support/server/clock.ts'
import { hangs, relyingParty } from '../support/server/relying-party.ts'
import { claimsOf, clientCredentials, login, refresh } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import { revoke } from '../support/server/tokens.ts'
import { until } from '../support/server/waiting.ts'

const postgres = await startPostgres(t)

/** What the clients recorded. */
interface Seen {
  readonly accessTokens: string[]
  /** Broken connections, whose requests were repeated on the other node. */
  broken: number
  /** Responses that no client should get. */
  readonly wrong: string[]
}

/** Asks one node after the other until one responds. */
function retrying(cluster: Cluster, seen: Seen) {
  return async (turn: number, ask: (node: ClusterNode) => ReturnType<typeof refresh>) => {
    for (let n = turn; ; n += 1) {
      const answer = await ask(cluster.at(n)).catch(() => undefined)
      if (answer?.statusCode === 200) return answer
      if (answer) seen.wrong.push(`${answer.statusCode} ${answer.body}`)
      else seen.broken += 1
      if (seen.wrong.length > 20 || seen.broken > 10_000) throw new Error('no node answers')
    }
  }
}

const statusOf = (token: string): string => JSON.stringify(claimsOf(token).status)

t.test(
  'a node killed under load loses no session, key or status list index (docs/security.md Q1, Q9, Q17)',
  async (t) => {
    const cluster = await startCluster(t, {
      database: await postgres.emptyDatabase(),
      nodes: 2,
      // Long enough for a client without a response to retry within it, even on a busy machine.
      settings: { REFRESH_GRACE: '60s' },
    })
    const [killed, other] = [cluster.at(0), cluster.at(1)]
    const firsts = await cluster.withOpened((within) => signIn(within, 8))
    const toEnd = await cluster.withOpened((within) => signIn(within, 6))
    const seen: Seen = { accessTokens: [], broken: 0, wrong: [] }
    const ask = retrying(cluster, seen)
    const ended: string[] = []
    let stop = false
    let count = 0

    async function refreshing(first: string): Promise<string> {
      let token = first
      for (let turn = 0; !stop; turn += 1) {
        const answer = (await ask(turn, (node) => refresh(node, token))).json()
        seen.accessTokens.push(answer.access_token)
        token = answer.refresh_token
        count += 1
      }
      return token
    }
    async function machine(turn: number): Promise<void> {
      for (let n = turn; !stop; n += 1)
        seen.accessTokens.push((await ask(n, (node) => clientCredentials(node))).json().access_token)
    }
    async function ending(): Promise<void> {
      for (const [n, token] of toEnd.entries()) {
        if (stop) return
        await sleep(100)
        await ask(n, (node) => revoke(node, token))
        ended.push(token)
      }
    }
    const chains = firsts.map(refreshing)
    const work = [machine(0), machine(1), ending()]
    while (count < 40 || ended.length < 2) await sleep(20)
    await killed.kill()
    await cluster.json(['keys', 'rotate'])
    const before = count
    while (count < before + 40 || ended.length < toEnd.length) await sleep(20)
    stop = true
    const last = await Promise.all(chains)
    await Promise.all(work)

    t.same(seen.wrong, [], 'every response was valid')
    t.ok(seen.broken > 0, `${seen.broken} broken connections, ${count} refreshes`)
    const keys = createLocalJWKSet((await other.inject({ url: '/.well-known/jwks.json' })).json())
    for (const token of seen.accessTokens) await jwtVerify(token, keys)
    for (const token of last)
      t.equal((await refresh(other, token)).statusCode, 200, 'every session continues')
    for (const token of ended)
      t.equal((await refresh(other, token)).statusCode, 400, 'an ended session stays ended')
    const [first = ''] = firsts
    const newest = (await refresh(other, last[0] ?? '')).json().refresh_token
    t.equal((await refresh(other, first)).statusCode, 400, 'a replay is detected')
    t.equal((await refresh(other, newest)).statusCode, 400, 'the replay revokes its session')

    const machines = seen.accessTokens.filter((token) => claimsOf(token).sub === 'machine').map(statusOf)
    t.equal(
      new Set(machines).size,
      machines.length,
      'the indices leased by the killed node were assigned to no other token',
    )
    await cluster.withOpened(async ({ store, keys: { clock } }) => {
      const ring = await store.ring.read()
      const states = ring?.keys.map(({ state }) => state).sort()
      t.same(states, ['active', 'next', 'retiring'])
      const dead = (await store.nodes.list()).find(({ pid }) => pid === killed.pid)
      const alive = (await store.nodes.list()).find(({ pid }) => pid === other.pid)
      if (!dead || !alive) throw new Error('both nodes were seen')
      t.notOk(isServing(dead, dead.seenAt + NODE_TIMEOUT), 'the node is shown as gone after half a minute')
      await prune(store, testClock(clock.now() + RETENTION.nodes.seconds + 10))
      t.same(await store.nodes.list(), [], 'and deleted after a day')
    })
  },
)

t.test(
  'a logout notification that a killed node had begun is sent by another node (Back-Channel Logout §2.5, §2.8; docs/security.md Q17, N151)',
  async (t) => {
    const rp = await relyingParty(t as Test, hangs)
    const cluster = await startCluster(t, {
      database: await postgres.emptyDatabase(),
      nodes: 1,
      async fill(store) {
        await seed(store)
        const grants = ['password', 'refresh_token']
        await store.clients.insert(client({ id: 'told', grants, backchannelLogoutUri: rp.uri }))
      },
    })
    const killed = cluster.at(0)
    const { refresh_token } = (await login(killed, {}, 'told')).json()
    t.equal((await revoke(killed, refresh_token, 'told')).statusCode, 200)
    await until(() => rp.received.length > 0)
    await killed.kill()
    await cluster.start()
    // Once the killed node’s attempt has timed out.
    await until(() => rp.received.length > 1)
    const sids = rp.received.map(({ form }) => claimsOf(form.get('logout_token') ?? '').sid)
    t.equal(new Set(sids).size, 1, 'of the same session')
  },
)
