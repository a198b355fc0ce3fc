/** Operations that must succeed once when requested many times concurrently, on all nodes of a cluster. */
import { inflateSync } from 'node:zlib'
import type { Test } from 'tap'
import type { Store } from '../../../src/store/index.ts'
import { openBrowser } from '../browser/browser.ts'
import { redeem, seedUsers, signIn } from '../browser/sign-in.ts'
import { asserting, assertion, clientKey } from '../server/jws.ts'
import { claimsOf, post, refresh } from '../server/requests.ts'
import { client } from '../server/seed.ts'
import { isActive, type Pair, refreshed, signedIn } from '../server/tokens.ts'
import type { Cluster, ClusterNode } from './cluster.ts'

const signer = clientKey('ES256')

/** The users and clients of `seedUsers`, and `signer`, which signs assertions. */
export async function fill(store: Store): Promise<void> {
  await seedUsers(store)
  await store.clients.insert(
    client({ id: 'signer', authMethod: 'private_key_jwt', jwks: { keys: [signer.jwk] } }),
  )
}

/** Sends `count` requests at the same moment, distributed over the nodes. */
export const spread = <T>(
  cluster: Cluster,
  count: number,
  ask: (node: ClusterNode, n: number) => Promise<T>,
) => Promise.all(Array.from({ length: count }, (_, n) => ask(cluster.at(n), n)))

/** The bit of the token in the status list at this node (draft-ietf-oauth-status-list §8.3). */
export async function isListedAsRevoked(node: ClusterNode, token: string): Promise<boolean> {
  const { idx, uri } = (claimsOf(token).status as { status_list: { idx: number; uri: string } }).status_list
  const list = await node.inject({ url: new URL(uri).pathname })
  if (list.statusCode !== 200) throw new Error(`${list.statusCode} ${list.body}`)
  const { lst } = claimsOf(list.body).status_list as { lst: string }
  const bits = inflateSync(Buffer.from(lst, 'base64url'))
  return (((bits[idx >> 3] ?? 0) >> (idx & 7)) & 1) === 1
}

/** Audit lines of all nodes with this event and session. */
export function audited(cluster: Cluster, event: string, sid?: unknown): Record<string, unknown>[] {
  return cluster.nodes
    .flatMap((node) => node.stderr().split('\n'))
    .filter((line) => line.includes(`"audit":"${event}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => sid === undefined || line.sid === sid)
}

/** Checks that the session is over at every node, and that every status list soon says so. */
export async function endedEverywhere(
  t: Test,
  cluster: Cluster,
  { access_token, refresh_token }: Pick<Pair, 'access_token' | 'refresh_token'>,
  as = 'app',
): Promise<void> {
  await cluster.everywhere((node) => isListedAsRevoked(node, access_token))
  t.pass('the status list shows it at each node')
  for (const node of cluster.nodes) {
    t.same(
      [(await refresh(node, refresh_token, {}, as)).json().error, await isActive(node, access_token, as)],
      ['invalid_grant', false],
    )
  }
}

/** Late enough that a retry is a replay. */
async function skipGracePeriod(cluster: Cluster, sid: unknown): Promise<void> {
  await cluster.withOpened(({ store }) =>
    store.db.batch([
      {
        sql: 'UPDATE client_sessions SET rotated_at = rotated_at - 600 WHERE id = $1',
        params: [String(sid)],
        expectRows: 1,
      },
    ]),
  )
}

/**
 * docs/security.md F68, F69, F75: all concurrent refreshes get one successor, a retry gets it again, and a replay
 * revokes the session.
 */
export async function refreshRace(t: Test, cluster: Cluster, requests: number): Promise<void> {
  const first = await signedIn(cluster.at(0))
  const { sid } = claimsOf(first.access_token)
  const pairs = await spread(cluster, requests, (node) => refreshed(node, first.refresh_token))
  const [second = first] = pairs
  t.equal(new Set(pairs.map((pair) => pair.refresh_token)).size, 1, `one successor for ${requests}`)
  t.equal(
    new Set(pairs.map((pair) => claimsOf(pair.access_token).jti)).size,
    requests,
    'one access token each',
  )
  for (const node of cluster.nodes) {
    t.equal(
      (await refreshed(node, first.refresh_token)).refresh_token,
      second.refresh_token,
      'a retry within the window',
    )
  }
  const thirds = await spread(cluster, requests, (node) => refreshed(node, second.refresh_token))
  const [third = second] = thirds
  t.equal(new Set(thirds.map((pair) => pair.refresh_token)).size, 1, 'the next refresh has one successor too')
  for (const node of cluster.nodes) {
    const alive = await Promise.all(
      [first, second, third].map(({ refresh_token }) => isActive(node, refresh_token)),
    )
    t.same(alive, [false, false, true], 'one token is valid, and every node knows which')
  }

  const older = await spread(cluster, requests, (node) => refresh(node, first.refresh_token))
  t.same(
    new Set(older.map((answer) => answer.json().error)),
    new Set(['invalid_grant']),
    'an older one is a replay',
  )
  await endedEverywhere(t, cluster, third)
  t.equal(
    audited(cluster, 'token.reuse_detected', sid).length,
    1,
    `detected once, by ${requests} concurrent requests`,
  )
  t.notOk(
    await isListedAsRevoked(cluster.at(0), (await signedIn(cluster.at(1))).access_token),
    'no other session is affected',
  )

  const used = await signedIn(cluster.at(1))
  const next = await refreshed(cluster.at(2), used.refresh_token)
  await skipGracePeriod(cluster, claimsOf(used.access_token).sid)
  const late = await spread(cluster, cluster.nodes.length, (node) => refresh(node, used.refresh_token))
  t.same(
    late.map(({ statusCode }) => statusCode),
    cluster.nodes.map(() => 400),
    'the previous token, after the window',
  )
  await endedEverywhere(t, cluster, next)
}

/** RFC 6749 §4.1.2: one redemption succeeds, and its tokens are then revoked. */
export async function codeRace(t: Test, cluster: Cluster, requests: number): Promise<void> {
  const { code } = await signIn(openBrowser(cluster.at(0).served))
  const answers = await spread(cluster, requests, (node) => redeem(node, code))
  const won = answers.filter(({ statusCode }) => statusCode === 200)
  t.equal(won.length, 1, `one of ${requests} succeeds`)
  const refusals = answers.filter((answer) => !won.includes(answer)).map((answer) => answer.json().error)
  t.same(new Set(refusals), new Set(['invalid_grant']))
  const pair = won[0]?.json<Pair>()
  if (!pair) return
  await endedEverywhere(t, cluster, pair, 'web')
  const { sid } = claimsOf(pair.access_token)
  t.equal(audited(cluster, 'code.reuse_detected', sid).length, 1)
  const again = await redeem(cluster.at(1), code)
  t.same([again.statusCode, again.json().error], [400, 'invalid_grant'])
}

/** RFC 7523 §3: an assertion is presented to every node at the same moment. */
export async function assertionRace(t: Test, cluster: Cluster, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    const text = assertion({
      client: 'signer',
      key: signer,
      audience: cluster.issuer,
      now: Math.floor(Date.now() / 1000),
    })
    const form = { grant_type: 'client_credentials', ...asserting(text) }
    const answers = await spread(cluster, cluster.nodes.length, (node) => post(node, '/oauth2/token', form))
    const statuses = answers.map(({ statusCode }) => statusCode).sort()
    t.same(statuses, [200, ...cluster.nodes.slice(1).map(() => 401)], 'one node accepted it')
  }
}

interface Rotated {
  readonly active: string
  readonly next: string
  readonly nodes: number
  readonly nodes_behind: readonly unknown[]
}

/** docs/security.md Q9: commands in separate processes, all at once, on a key ring where one rotation is safe. */
export async function rotationRace(t: Test, cluster: Cluster, commands: number): Promise<void> {
  const ringOf = () => cluster.withOpened(({ store }) => store.ring.read())
  const before = await ringOf()
  const results = await Promise.all(
    Array.from({ length: commands }, () => cluster.run(['keys', 'rotate', '--json'])),
  )
  const done = results.filter(({ code }) => code === 0).map(({ stdout }) => JSON.parse(stdout) as Rotated)
  const refusals = results.filter(({ code }) => code !== 0)
  t.ok(done.length > 0, 'one command rotated')
  t.same(
    refusals.filter(({ code, stderr }) => code !== 1 || !/not safe to rotate before/.test(stderr)),
    [],
    'the commands that came too late were told that rotation is not safe yet',
  )
  const after = await ringOf()
  t.equal(after?.version, (before?.version ?? 0) + 1, 'one rotation in total')
  t.equal(after?.keys.length, (before?.keys.length ?? 0) + 1, 'one new key')
  const kids = (state: string) =>
    (after?.keys ?? []).filter((key) => key.state === state).map(({ kid }) => kid)
  t.same([kids('active').length, kids('next').length], [1, 1])
  for (const { active, next, nodes, nodes_behind } of done) {
    t.same([[active], [next]], [kids('active'), kids('next')], 'all of them report the same')
    t.same([nodes, nodes_behind], [cluster.nodes.length, []], 'each node has switched')
  }
  const served = await spread(cluster, cluster.nodes.length, (node) =>
    node.inject({ url: '/.well-known/jwks.json' }),
  )
  t.equal(new Set(served.map(({ body }) => body)).size, 1, 'all nodes serve the same key set')
}
