/** Clocks that are wrong, differ between nodes, or jump (docs/security.md Q7): what clients see and what is lost. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openBrowser, type Served } from '../support/browser/browser.ts'
import {
  authorizeParams,
  authorizeUrl,
  completePages,
  redeem,
  seedUsers,
  signIn,
  tokensOf,
} from '../support/browser/sign-in.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { type Cluster, type ClusterNode, startCluster } from '../support/processes/cluster.ts'
import { signIn as sessionOf } from '../support/processes/data-folder.ts'
import type { ServerProcess } from '../support/processes/process.ts'
import { asserting, assertion, clientKey } from '../support/server/jws.ts'
import { basic, claimsOf, clientCredentials, kidOf, post, refresh } from '../support/server/requests.ts'
import { client } from '../support/server/seed.ts'
import { pairOf } from '../support/server/tokens.ts'
import { until } from '../support/server/waiting.ts'

const postgres = await startPostgres(t)
const signer = clientKey()
const now = () => Math.floor(Date.now() / 1000)

/** Two machines on one PostgreSQL, one a minute ahead and the other a minute behind. */
async function twoClocks(
  t: Test,
): Promise<Cluster & { readonly ahead: ClusterNode; readonly behind: ClusterNode }> {
  const cluster = await startCluster(t, {
    database: await postgres.emptyDatabase(),
    nodes: 0,
    async fill(store) {
      await seedUsers(store)
      await store.clients.insert(
        client({ id: 'signer', authMethod: 'private_key_jwt', jwks: { keys: [signer.jwk] } }),
      )
    },
  })
  const dir = t.testdir({ ahead: '60', behind: '-60' })
  const [ahead, behind] = await Promise.all([
    cluster.start({ wrongBy: join(dir, 'ahead') }),
    cluster.start({ wrongBy: join(dir, 'behind') }),
  ])
  return { ...cluster, ahead, behind }
}

/** A proxy that sends each request to the other node. */
function alternating(nodes: readonly ClusterNode[]): Served {
  let turn = 0
  const [first] = nodes
  if (!first) throw new Error('no node serves')
  return {
    ...first.served,
    inject(options) {
      turn += 1
      return (nodes[turn % nodes.length] ?? first).served.inject(options)
    },
  }
}

t.test('two nodes whose clocks differ by two minutes serve as one (docs/security.md Q7)', async (t) => {
  const { ahead, behind, issuer, json, ...cluster } = await twoClocks(t as Test)
  const pairs = [
    [ahead, behind],
    [behind, ahead],
  ] as const
  for (const [one, other] of pairs) {
    const spread = alternating([one, other])
    const browser = openBrowser(spread)
    const { code } = await signIn(browser)
    const tokens = tokensOf(await redeem(other, code))
    const { iat, exp, auth_time } = claimsOf(tokens.access_token)
    for (const time of [Number(iat), Number(exp) - 600, Number(auth_time)]) {
      t.ok(Math.abs(time - now()) <= 15, `the right time is in the token, not ${time - now()} s from it`)
    }

    const second = pairOf(await refresh(one, tokens.refresh_token, {}, 'web')).refresh_token
    const retry = await refresh(other, tokens.refresh_token, {}, 'web')
    t.equal(
      retry.json().refresh_token,
      second,
      'a retry on the other node counts as a retry, not as a replay',
    )
    t.equal((await refresh(other, second, {}, 'web')).statusCode, 200, 'and the session continues')

    const form = Object.fromEntries(authorizeParams())
    const { request_uri } = (await post(one, '/oauth2/par', form, { authorization: basic('web') })).json()
    const pushed = `/oauth2/authorize?${new URLSearchParams({ client_id: 'web', request_uri })}`
    t.ok(
      (await completePages(browser, await browser.open(pushed))).away?.params.get('code'),
      'a pushed request',
    )
    t.equal(
      (await browser.open(authorizeUrl({ max_age: '50' }))).path,
      '/consent',
      'no user has to sign in again',
    )

    const text = assertion({ client: 'signer', key: signer, audience: issuer, now: now() })
    const present = (node: ServerProcess) =>
      post(node, '/oauth2/token', { grant_type: 'client_credentials', ...asserting(text) })
    t.equal((await present(one)).statusCode, 200, 'a fresh assertion')
    t.equal((await present(other)).statusCode, 401, 'an assertion is consumed on every node')
  }

  const replay = await signIn(openBrowser(alternating([ahead, behind])))
  t.equal((await redeem(ahead, replay.code)).statusCode, 200)
  t.equal((await redeem(behind, replay.code)).statusCode, 400, 'a redeemed code is consumed')

  for (const wrongBy of [undefined, join(t.testdirName, 'ahead'), join(t.testdirName, 'behind')]) {
    const nodes = await json<{ state: string }[]>(['nodes'], wrongBy ? { wrongBy } : {})
    t.same(
      nodes.map(({ state }) => state),
      ['serving', 'serving'],
      'no node is considered gone',
    )
  }
  for (const [wrongBy, words] of [
    ['ahead', /which all nodes use, is (59|60|61) s behind this machine's/],
    ['behind', /is (59|60|61) s ahead of this machine's/],
  ] as const) {
    const { stdout } = await cluster.run(['doctor', '--json'], { wrongBy: join(t.testdirName, wrongBy) })
    const findings = JSON.parse(stdout) as { check: string; ok: boolean; message: string }[]
    t.match(findings.find(({ check }) => check === 'store clock')?.message, words)
    t.ok(findings.find(({ check }) => check === 'ring')?.ok, 'no key is considered to be from the future')
  }
  await json(['keys', 'rotate'])
  await cluster.everywhere(async (node) => {
    const token: string = (await clientCredentials(node)).json().access_token
    return kidOf(token) === (await activeKid(cluster))
  })
  t.match(ahead.stderr(), /this machine's clock is (59|60|61) s ahead of the store's clock/)
  t.match(behind.stderr(), /this machine's clock is (59|60|61) s behind the store's clock/)
})

const activeKid = (cluster: Pick<Cluster, 'withOpened'>): Promise<string | undefined> =>
  cluster.withOpened(
    async ({ store }) => (await store.ring.read())?.keys.find(({ state }) => state === 'active')?.kid,
  )

const kidsOf = async (node: ServerProcess): Promise<string[]> =>
  (await node.inject({ url: '/.well-known/jwks.json' })).json().keys.map(({ kid }: { kid: string }) => kid)

/** A machine whose clock the test sets, with a retiring key and live tokens signed by it. */
async function settable(t: Test, database?: string) {
  const cluster = await startCluster(t, {
    ...(database === undefined ? {} : { database }),
    nodes: 0,
    settings: { KEY_ROTATION: '1h', VERIFIER_CACHE: '1m' },
  })
  const wrongBy = join(t.testdir({ clock: '0' }), 'clock')
  const node = await cluster.start({ wrongBy })
  const old = (await clientCredentials(node)).json().access_token as string
  await cluster.json(['keys', 'rotate'])
  await cluster.everywhere(async (one) => (await kidsOf(one)).length === 3)
  return {
    ...cluster,
    node,
    old,
    async set(seconds: number) {
      writeFileSync(wrongBy, String(seconds))
      node.child.kill('SIGUSR2')
      // A few polls, and the background jobs of each second.
      await sleep(1500)
    },
  }
}

t.test(
  'a clock that jumps ahead removes no key of live tokens and causes no rotation (docs/security.md Q7)',
  async (t) => {
    const { node, old, set } = await settable(t as Test)
    const before = await kidsOf(node)
    await set(2 * 3600)
    await until(() => /the clock has jumped ahead by 7\d\d\d s; keys are not rotated/.test(node.stderr()))
    t.same(await kidsOf(node), before)
    t.equal((await node.inject({ url: '/health/ready' })).statusCode, 200)
    t.ok(before.includes(kidOf(old)), 'and the old token’s key is still published')

    await set(0)
    t.same(await kidsOf(node), before)
    const { iat } = claimsOf((await clientCredentials(node)).json().access_token)
    t.ok(Math.abs(Number(iat) - now()) <= 60, 'and the node continues with the right time')
  },
)

t.test(
  'a node on PostgreSQL is not affected when its machine’s clock is set (docs/security.md Q7)',
  async (t) => {
    const { node, set, withOpened } = await settable(t as Test, await postgres.emptyDatabase())
    const before = await kidsOf(node)
    const { token, answer } = await withOpened(async (within) => {
      const [first = ''] = await sessionOf(within)
      return { token: first, answer: await refresh(node, first) }
    })
    for (const seconds of [40 * 86_400, -40 * 86_400]) {
      await set(seconds)
      const again = await refresh(node, token)
      t.equal(again.statusCode, 200, again.body)
      t.equal(again.json().refresh_token, answer.json().refresh_token, 'the retry window has not moved')
      t.ok(Math.abs(Number(claimsOf(again.json().access_token).iat) - now()) <= 60)
      t.same(await kidsOf(node), before)
    }
    await until(() => /this machine's clock is 345\d{4} s ahead/.test(node.stderr()))
    t.pass('the log says it')
  },
)
