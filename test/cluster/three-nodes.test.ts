/** Three nodes on one PostgreSQL, each a process: what counts once counts once, and what one knows all know (issue 5). */
import { TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { CODE_LIMITS, LIMITS } from '../../src/accounts/throttle.ts'
import { systemClock } from '../../src/system.ts'
import { openBrowser, type Page, type Served } from '../support/browser.ts'
import { kidOf } from '../support/caching-verifier.ts'
import { testCli } from '../support/cli.ts'
import { startCluster } from '../support/cluster.ts'
import {
  assertionRace,
  codeRace,
  fill,
  overEverywhere,
  refreshRace,
  SOON_MS,
  spread,
} from '../support/cluster-races.ts'
import { startPostgres } from '../support/postgres.ts'
import { basic, claimsOf, clientCredentials, login, post, refresh } from '../support/requests.ts'
import { client, PASSWORD, user } from '../support/seed.ts'
import {
  authorizeParams,
  authorizeUrl,
  codeClient,
  OWN_REDIRECT,
  redeem,
  signIn,
  tokensOf,
} from '../support/sign-in.ts'
import { active, signedIn } from '../support/tokens.ts'

const postgres = await startPostgres(t)
const cluster = await startCluster(t, {
  database: await postgres.database(t),
  async fill(store) {
    await fill(store)
    for (const username of ['carol', 'dave', 'erin', 'frank'])
      await store.users.insert(await user({ username }))
    await store.clients.insert(client({ id: 'leaving' }))
    await store.clients.insert(codeClient({ id: 'house', firstParty: true, redirectUris: [OWN_REDIRECT] }))
  },
})

/** A command beside the nodes, with their settings. */
async function command(...args: string[]): Promise<void> {
  const { code, err } = await testCli(t).run(args, { settings: cluster.folder.settings, clock: systemClock })
  if (code !== 0) throw new Error(`${args.join(' ')}: ${err}`)
}

/** Whatever a browser asks goes to another node than what it asked before. */
function inTurns(): Served & { readonly asked: number[] } {
  const asked: number[] = []
  return {
    ...cluster.at(0).served,
    asked,
    inject(options) {
      asked.push(asked.length % cluster.nodes.length)
      return cluster.at(asked.length - 1).served.inject(options)
    },
  }
}

const codeOf = ({ away, status, path, body }: Page): string => {
  const code = away?.params.get('code')
  if (!code) throw new Error(`no code but ${status} ${path} ${away?.url ?? body.slice(0, 500)}`)
  return code
}

t.test(
  'one refresh token fifty times at once over three nodes has one successor, again in time, and a replay ends it at all of them (F68, F69, F75, §3.1 #1)',
  (t) => refreshRace(t as Test, cluster, 50),
)

t.test(
  'one code fifty times at once over three nodes is redeemed once, and that is taken back at all of them (E59, RFC 6749 §4.1.2)',
  (t) => codeRace(t as Test, cluster, 50),
)

t.test('an assertion at three nodes in the same instant counts at one, twenty times (B23, §3.1 #6)', (t) =>
  assertionRace(t as Test, cluster, 20),
)

t.test('wrong passwords count at all nodes together, however they are spread (§3.1 #5)', async (t) => {
  const guesses = await spread(cluster, 12, (node) => login(node, { username: 'carol', password: 'wrong' }))
  const count = (status: number) => guesses.filter(({ statusCode }) => statusCode === status).length
  t.same([count(400), count(429)], [LIMITS.pair.burst, 12 - LIMITS.pair.burst])
  for (const node of cluster.nodes) {
    t.equal((await login(node, { username: 'carol' })).statusCode, 429, 'the right one is not even looked at')
  }
  t.equal((await login(cluster.at(0))).statusCode, 200, 'nobody else is concerned')
})

t.test(
  'a user who is disabled is refused by every node, and so is a client within a second (E62)',
  async (t) => {
    const pair = await signedIn(cluster.at(0), { username: 'dave' })
    await command('users', 'disable', 'dave')
    for (const node of cluster.nodes) {
      t.equal((await refresh(node, pair.refresh_token)).json().error, 'invalid_grant', 'a refresh')
      t.equal((await login(node, { username: 'dave' })).json().error, 'invalid_grant', 'a login')
      t.notOk(await active(node, pair.access_token))
    }

    for (const node of cluster.nodes) t.equal((await clientCredentials(node, {}, 'leaving')).statusCode, 200)
    await command('clients', 'disable', 'leaving')
    const refused = await cluster.everywhere(
      async (node) => (await clientCredentials(node, {}, 'leaving')).statusCode === 401,
    )
    t.ok(refused < SOON_MS, `refused everywhere after ${Math.round(refused)} ms`)
    await command('clients', 'enable', 'leaving')
    const enabled = await cluster.everywhere(
      async (node) => (await clientCredentials(node, {}, 'leaving')).statusCode === 200,
    )
    t.ok(enabled < SOON_MS, `and taken again after ${Math.round(enabled)} ms`)
  },
)

t.test('sessions that a command ends are over at every node (F72)', async (t) => {
  const pairs = await spread(cluster, 3, (node) => signedIn(node, { username: 'frank' }))
  const [one, ...others] = pairs
  if (!one) throw new Error('nobody is signed in')
  await command('sessions', 'revoke', '--id', String(claimsOf(one.access_token).sid))
  await overEverywhere(t as Test, cluster, one)
  for (const { refresh_token } of others) t.ok(await active(cluster.at(0), refresh_token), 'the others go on')
  await command('sessions', 'revoke', '--user', 'frank')
  for (const pair of others) await overEverywhere(t as Test, cluster, pair)
})

t.test('a sign-in whose steps each go to another node: login, consent, code, sign-out', async (t) => {
  const served = inTurns()
  const browser = openBrowser(served)
  const { code } = await signIn(browser, {}, { remember: true })
  t.ok(new Set(served.asked).size === 3, `${served.asked.length} requests`)
  // The next node in turn redeems it.
  const tokens = tokensOf(await redeem(served, code))
  for (const node of cluster.nodes) {
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    t.equal((await node.inject({ url: '/oauth2/userinfo', headers })).statusCode, 200)
  }
  for (const { served } of cluster.nodes) {
    browser.server = served
    t.ok(codeOf(await browser.open(authorizeUrl())), 'signed in and asked before: every node knows')
  }
  browser.server = cluster.at(0).served
  const asked = await browser.open('/oauth2/logout')
  browser.server = cluster.at(1).served
  await browser.submit(asked)
  for (const { served } of cluster.nodes) {
    browser.server = served
    t.equal((await browser.open(authorizeUrl())).path, '/login', 'signed out everywhere')
  }
  await overEverywhere(t as Test, cluster, tokens, 'web')
})

t.test('what was pushed to one node is used at another, and for one answer (K121)', async (t) => {
  const browser = openBrowser(cluster.at(2).served)
  await signIn(browser, { client_id: 'house', redirect_uri: OWN_REDIRECT })
  const params = authorizeParams({ client_id: 'house', redirect_uri: OWN_REDIRECT })
  const pushed = await post(cluster.at(0), '/oauth2/par', Object.fromEntries(params), {
    authorization: basic('house'),
  })
  t.equal(pushed.statusCode, 201)
  const reference = `/oauth2/authorize?${new URLSearchParams({ client_id: 'house', request_uri: pushed.json().request_uri })}`
  const pages = await spread(cluster, 6, async (node) => {
    const own = openBrowser(node.served)
    for (const [name, cookie] of browser.jar) own.jar.set(name, cookie)
    return own.open(reference)
  })
  const answered = pages.filter(({ away }) => away?.params.has('code'))
  t.equal(answered.length, 1, 'of six at once at three nodes')
  const code = codeOf(answered[0] as Page)
  const form = { redirect_uri: OWN_REDIRECT }
  t.equal((await redeem(cluster.at(1), code, { as: 'house', form })).statusCode, 200)
})

t.test(
  'a second factor: set up, asked for and proven at one node each; a code counts once at all of them (§3.1 #6)',
  async (t) => {
    const erin = { form: '/login', fill: { username: 'erin', password: PASSWORD } }
    const at = async (n: number, path = '/account') => {
      const browser = openBrowser(cluster.at(n).served)
      const page = await browser.open(path)
      browser.server = cluster.at(n + 1).served
      return { browser, page: await browser.submit(page, erin) }
    }
    const { browser, page } = await at(0, '/account/totp')
    const secret = (/class="secret[^"]*">([^<]+)</.exec(page.body)?.[1] ?? '').replaceAll(' ', '')
    const codeAt = (step: number) =>
      new TOTP({ secret, algorithm: 'SHA1', digits: 6, period: 30 }).generate({
        timestamp: Date.now() + step * 30_000,
      })
    browser.server = cluster.at(2).served
    const done = await browser.submit(page, { form: '/account/totp', fill: { code: codeAt(0) } })
    t.match(done.body, /recovery/i, 'it is set up')

    const waiting = await Promise.all(Array.from({ length: 6 }, (_, n) => at(n)))
    for (const { page, browser } of waiting) {
      t.equal(page.path, '/login/second-factor')
      t.notOk(browser.cookies().has('__Host-keyturn-session'), 'nobody is in before it')
    }
    // The same code from six browsers, each at the third node that it meets.
    const code = codeAt(1)
    const proven = await Promise.all(
      waiting.map(async ({ browser, page }, n) => {
        browser.server = cluster.at(n + 2).served
        return browser.submit(page, { form: '/login/second-factor', fill: { code } })
      }),
    )
    t.same(proven.map(({ status }) => status).filter((status) => status === 200).length, 1, 'one got in')
    const tried = proven.filter(({ status }) => status !== 200).map(({ status }) => status)
    t.ok(tried.filter((status) => status === 400).length <= CODE_LIMITS.pair.burst, 'guesses count together')
    t.equal(tried.length, 5)
  },
)

t.test(
  'keys rotate names the node that does not follow; woken up, it does so at once (§4 row 18)',
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
    const took = await cluster.everywhere(
      async (node) => kidOf((await clientCredentials(node)).json().access_token) === active,
    )
    t.ok(took < SOON_MS, `after ${Math.round(took)} ms`)
  },
)
