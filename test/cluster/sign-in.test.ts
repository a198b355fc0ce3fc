/** Three nodes on one PostgreSQL, each in its own process: any node may answer a browser’s next request. */
import { setTimeout as sleep } from 'node:timers/promises'
import { TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { CODE_LIMITS } from '../../src/accounts/rate-limiter.ts'
import { cookieNames } from '../../src/http/cookies.ts'
import { createAuthenticator } from '../support/browser/authenticator.ts'
import { openBrowser, type Page, type Served, tags } from '../support/browser/browser.ts'
import { byPasskey } from '../support/browser/passkey-forms.ts'
import {
  authorizeParams,
  authorizeUrl,
  codeClient,
  OWN_REDIRECT,
  redeem,
  signIn,
  tokensOf,
} from '../support/browser/sign-in.ts'
import { startPostgres } from '../support/postgres/postgres.ts'
import { startCluster } from '../support/processes/cluster.ts'
import { audited, endedEverywhere, fill, spread } from '../support/processes/cluster-races.ts'
import { relyingParty } from '../support/server/relying-party.ts'
import { basic, claimsOf, post } from '../support/server/requests.ts'
import { client, PASSWORD, user } from '../support/server/seed.ts'
import { revoke, signedIn } from '../support/server/tokens.ts'
import { until } from '../support/server/waiting.ts'

const postgres = await startPostgres(t)
const logoutReceiver = await relyingParty(t as Test)
const cluster = await startCluster(t, {
  database: await postgres.database(t),
  async fill(store) {
    await fill(store)
    for (const username of ['erin', 'grace']) await store.users.insert(await user({ username }))
    await store.clients.insert(
      codeClient({ id: 'first-party', firstParty: true, redirectUris: [OWN_REDIRECT] }),
    )
    await store.clients.insert(
      client({
        id: 'listening',
        grants: ['password', 'refresh_token'],
        backchannelLogoutUri: logoutReceiver.uri,
      }),
    )
  },
})

/** Sends each request of a browser to another node than the one before. */
function alternatingNodes(): Served & { readonly visitedNodes: number[] } {
  const visitedNodes: number[] = []
  return {
    ...cluster.at(0).served,
    visitedNodes,
    inject(options) {
      visitedNodes.push(visitedNodes.length % cluster.nodes.length)
      return cluster.at(visitedNodes.length - 1).served.inject(options)
    },
  }
}

const codeOf = ({ away, status, path, body }: Page): string => {
  const code = away?.params.get('code')
  if (!code) throw new Error(`no code but ${status} ${path} ${away?.url ?? body.slice(0, 500)}`)
  return code
}

/** The login page of one node is submitted to the next, where the browser stays. */
async function signInAs(username: string, n: number, path = '/account') {
  const browser = openBrowser(cluster.at(n).served)
  const page = await browser.open(path)
  browser.server = cluster.at(n + 1).served
  return {
    browser,
    page: await browser.submit(page, { form: '/login', fill: { username, password: PASSWORD } }),
  }
}

t.test(
  'login, consent, code redemption and sign-out work when each step goes to a different node',
  async (t) => {
    const served = alternatingNodes()
    const browser = openBrowser(served)
    const { code } = await signIn(browser, {}, { remember: true })
    t.ok(new Set(served.visitedNodes).size === 3, `${served.visitedNodes.length} requests`)
    // The next node in turn redeems it.
    const tokens = tokensOf(await redeem(served, code))
    for (const node of cluster.nodes) {
      const headers = { authorization: `Bearer ${tokens.access_token}` }
      t.equal((await node.inject({ url: '/oauth2/userinfo', headers })).statusCode, 200)
    }
    for (const { served } of cluster.nodes) {
      browser.server = served
      t.ok(codeOf(await browser.open(authorizeUrl())), 'every node knows the session and the consent')
    }
    browser.server = cluster.at(0).served
    const visitedNodes = await browser.open('/oauth2/logout')
    browser.server = cluster.at(1).served
    await browser.submit(visitedNodes)
    for (const { served } of cluster.nodes) {
      browser.server = served
      t.equal((await browser.open(authorizeUrl())).path, '/login', 'signed out on every node')
    }
    await endedEverywhere(t as Test, cluster, tokens, 'web')
  },
)

t.test(
  'a request pushed to one node is used at another, and only once (RFC 9126 §2.2, §4; docs/security.md K121)',
  async (t) => {
    const browser = openBrowser(cluster.at(2).served)
    await signIn(browser, { client_id: 'first-party', redirect_uri: OWN_REDIRECT })
    const params = authorizeParams({ client_id: 'first-party', redirect_uri: OWN_REDIRECT })
    const pushed = await post(cluster.at(0), '/oauth2/par', Object.fromEntries(params), {
      authorization: basic('first-party'),
    })
    t.equal(pushed.statusCode, 201)
    const reference = `/oauth2/authorize?${new URLSearchParams({ client_id: 'first-party', request_uri: pushed.json().request_uri })}`
    const pages = await spread(cluster, 6, async (node) => {
      const own = openBrowser(node.served)
      for (const [name, cookie] of browser.jar) own.jar.set(name, cookie)
      return own.open(reference)
    })
    const answered = pages.filter(({ away }) => away?.params.has('code'))
    t.equal(answered.length, 1, 'of six concurrent uses on three nodes')
    const code = codeOf(answered[0] as Page)
    const form = { redirect_uri: OWN_REDIRECT }
    t.equal((await redeem(cluster.at(1), code, { as: 'first-party', form })).statusCode, 200)
  },
)

t.test(
  'a second factor is set up, requested and verified on different nodes, and a code works once in the cluster (RFC 7523 §3; docs/security.md P6)',
  async (t) => {
    const { browser, page } = await signInAs('erin', 0, '/account/totp')
    const secret = (/class="secret[^"]*">([^<]+)</.exec(page.body)?.[1] ?? '').replaceAll(' ', '')
    const codeAt = (step: number) =>
      new TOTP({ secret, algorithm: 'SHA1', digits: 6, period: 30 }).generate({
        timestamp: Date.now() + step * 30_000,
      })
    browser.server = cluster.at(2).served
    const done = await browser.submit(page, { form: '/account/totp', fill: { code: codeAt(0) } })
    t.match(done.body, /recovery/i, 'the passkey is set up')

    // One after the other: at once, they would use up the attempts of one account.
    const waiting: Awaited<ReturnType<typeof signInAs>>[] = []
    for (let n = 0; n < 6; n += 1) waiting.push(await signInAs('erin', n))
    for (const { page, browser } of waiting) {
      t.equal(page.path, '/login/second-factor')
      t.notOk(
        browser.cookies().has(cookieNames(cluster.issuer).session),
        'there is no session before the second factor',
      )
    }
    // The same code from six browsers, each at the third node that it meets.
    const code = codeAt(1)
    const proven = await Promise.all(
      waiting.map(async ({ browser, page }, n) => {
        browser.server = cluster.at(n + 2).served
        return browser.submit(page, { form: '/login/second-factor', fill: { code } })
      }),
    )
    t.same(proven.map(({ status }) => status).filter((status) => status === 200).length, 1, 'one succeeded')
    const tried = proven.filter(({ status }) => status !== 200).map(({ status }) => status)
    t.ok(
      tried.filter((status) => status === 400).length <= CODE_LIMITS.pair.burst,
      'guesses are counted together',
    )
    t.equal(tried.length, 5)
  },
)

t.test(
  'a passkey is registered and used across two nodes each, and its challenge works once in the cluster',
  async (t) => {
    const device = createAuthenticator({ origin: cluster.issuer, rpId: new URL(cluster.issuer).hostname })
    const { browser, page } = await signInAs('grace', 0, '/account/passkeys')
    browser.server = cluster.at(2).served
    const added = await byPasskey(browser, page, '/account/passkeys', device, { name: 'Key' })
    t.match(added.body, /recovery/i, 'the passkey is set up')

    const first = openBrowser(cluster.at(0).served)
    const login = await first.open('/account')
    const form = tags(login.body).find(({ attributes }) => attributes.get('data-passkey') === 'get')
    // One response of the authenticator, sent to three nodes in the same instant.
    const answer = device.get(JSON.parse(form?.attributes.get('data-options') ?? '{}'))
    const pages = await spread(cluster, 3, (node) => {
      const own = openBrowser(node.served)
      for (const [name, cookie] of first.jar) own.jar.set(name, cookie)
      return byPasskey(own, login, '/login/passkey', { ...device, get: () => answer })
    })
    t.same(pages.map(({ status }) => status).sort(), [200, 400, 400], 'one succeeded')
    t.equal(pages.find(({ status }) => status === 200)?.path, '/account')
  },
)

t.test(
  'three nodes together send each logout notification once (Back-Channel Logout §2.4; docs/security.md N149)',
  async (t) => {
    // More at once would use up the attempts of the account.
    const pairs: Awaited<ReturnType<typeof signedIn>>[] = []
    while (pairs.length < 12)
      pairs.push(...(await spread(cluster, 3, (node) => signedIn(node, {}, 'listening'))))
    await spread(cluster, 12, (node, n) => revoke(node, pairs[n]?.refresh_token ?? '', 'listening'))
    await until(() => audited(cluster, 'logout_token.delivered').length >= 12)
    // A few polls of every node, which could send one twice.
    await sleep(1000)
    const sids = logoutReceiver.received.map(({ form }) => claimsOf(form.get('logout_token') ?? '').sid)
    t.same(sids.sort(), pairs.map(({ access_token }) => claimsOf(access_token).sid).sort(), 'each one once')
    t.equal(audited(cluster, 'logout_token.delivered').length, 12)
  },
)
