import { inflateSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { unlimited } from '../../src/accounts/concurrency-limiter.ts'
import { createUsers } from '../../src/accounts/users.ts'
import { LIST_SIZE } from '../../src/store/contracts/status.ts'
import { testVerifier } from '../support/issuers/verifier.ts'
import { tablesOf } from '../support/server/database-dump.ts'
import { basic, claimsOf, clientCredentials, login, post, refresh } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { ISSUER, type TestServer, testServer } from '../support/server/server.ts'

const TTL = 10
/** A second for the server's poll and one for the verifier's. */
const POLL = 1

async function started(t: Test): Promise<TestServer> {
  const server = await testServer({ settings: { STATUS_TTL: `${TTL}s` } })
  t.teardown(() => server.close())
  await seed(server.store)
  return server
}

const statusOf = (token: string) =>
  (claimsOf(token).status as { status_list: { idx: number; uri: string } }).status_list

/** What happens in the time within which a revocation must arrive: the server polls, then the verifiers poll. */
async function pass(server: TestServer, ...verifiers: ReturnType<typeof testVerifier>[]) {
  await server.poll()
  server.clock.tick(TTL + POLL)
  for (const { verifier } of verifiers) await verifier.ready()
}

t.test(
  'an access token contains a reference to its status list entry (draft-ietf-oauth-status-list §6.2)',
  async (t) => {
    const server = await started(t as Test)
    const first = statusOf((await clientCredentials(server)).json().access_token)
    const second = statusOf((await clientCredentials(server)).json().access_token)
    t.match(first.uri, new RegExp(`^${ISSUER}/status-lists/\\d+$`))
    t.ok(Number.isInteger(first.idx) && first.idx >= 0 && first.idx < LIST_SIZE)
    t.not(first.idx, second.idx, 'a token without a session has its own index')

    const signedIn = (await login(server)).json()
    const refreshed = (await refresh(server, signedIn.refresh_token)).json()
    t.same(
      statusOf(refreshed.access_token),
      statusOf(signedIn.access_token),
      'the tokens of a session share one',
    )
    t.not(statusOf(signedIn.access_token).uri, first.uri)
  },
)

t.test('status list indices do not reveal the order of issue', async (t) => {
  const server = await started(t as Test)
  const indices: number[] = []
  for (let i = 0; i < 40; i += 1) {
    indices.push(statusOf((await clientCredentials(server)).json().access_token).idx)
  }
  t.equal(new Set(indices).size, indices.length)
  const steps = indices.slice(1).map((idx, i) => idx - (indices[i] as number))
  t.ok(new Set(steps).size > 35, 'no constant difference between neighbours')
  const rising = steps.filter((step) => step > 0).length
  t.ok(rising > 8 && rising < 31, `as often up as down, ${rising} of 39`)
})

t.test(
  'the status list is a signed, compressed and cacheable Status List Token (draft-ietf-oauth-status-list §5.1, §8.2)',
  async (t) => {
    const server = await started(t as Test)
    const { uri } = statusOf((await clientCredentials(server)).json().access_token)
    const path = new URL(uri).pathname
    const answer = await server.inject({ url: path })
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['content-type'], 'application/statuslist+jwt')
    t.equal(answer.headers['cache-control'], `public, max-age=${TTL}`)
    t.equal(answer.headers['access-control-allow-origin'], '*')
    const claims = claimsOf(answer.body)
    const header = JSON.parse(Buffer.from(answer.body.split('.')[0] ?? '', 'base64url').toString())
    t.equal(header.typ, 'statuslist+jwt')
    t.match(claims, { iss: ISSUER, sub: uri, iat: server.clock.now(), ttl: TTL, status_list: { bits: 1 } })
    t.ok((claims.exp as number) > server.clock.now() + TTL)
    const { lst } = claims.status_list as { lst: string }
    t.equal(inflateSync(Buffer.from(lst, 'base64url')).length, LIST_SIZE / 8)

    const etag = answer.headers.etag as string
    const again = await server.inject({ url: path, headers: { 'if-none-match': etag } })
    t.equal(again.statusCode, 304)
    const zipped = await server.inject({ url: path, headers: { 'accept-encoding': 'br, gzip' } })
    t.equal(zipped.headers['content-encoding'], 'gzip')
    t.equal(zipped.headers.vary, 'accept-encoding')
    server.clock.tick(400)
    t.not((await server.inject({ url: path })).headers.etag, etag, 'reissued before it expires')
  },
)

t.test('an unknown status list gets 404, whatever the request headers', async (t) => {
  const server = await started(t as Test)
  for (const number of [
    '0',
    '1',
    '2',
    '01',
    '-1',
    '1.0',
    '1e0',
    '99999999999999',
    '%31%00',
    'a',
    '../keys',
  ]) {
    t.equal((await server.inject({ url: `/status-lists/${number}` })).statusCode, 404, number)
  }
})

t.test('a wrong method gets 405 with Allow (RFC 9110 §15.5.6)', async (t) => {
  const server = await started(t as Test)
  for (const url of ['/status-lists/1', '/.well-known/status-lists.json']) {
    const answer = await server.inject({ method: 'POST', url })
    t.same([answer.statusCode, answer.headers.allow], [405, 'GET, HEAD'], url)
  }
})

t.test('the metadata contains the status list aggregation, which lists all lists', async (t) => {
  const server = await started(t as Test)
  const metadata = (await server.inject({ url: '/.well-known/oauth-authorization-server' })).json()
  const { pathname } = new URL(metadata.status_list_aggregation_endpoint)
  t.same((await server.inject({ url: pathname })).json(), { status_lists: [] })
  const { uri } = statusOf((await clientCredentials(server)).json().access_token)
  t.same((await server.inject({ url: pathname })).json(), { status_lists: [uri] })
})

t.test(
  'every kind of revocation is refused by every verifier within the TTL and a poll, without calls to the server',
  async (t) => {
    const server = await started(t as Test)
    const { store, clock } = server
    const users = createUsers(
      { ...server.deps.base, store, clock, audit: () => {}, hashing: unlimited },
      'test',
    )
    const alice = await users.find('alice')
    const machine = async () => (await clientCredentials(server)).json().access_token as string
    const signIn = async () => (await login(server)).json() as { access_token: string; refresh_token: string }
    const verifiers = [1, 2, 3].map(() => testVerifier(server, { statusList: { onStale: 'reject' } }))
    t.teardown(() => {
      for (const { verifier } of verifiers) verifier.close()
    })

    const cases: Record<string, { token: string; revokeIt: () => Promise<unknown> }> = {}
    const single = await machine()
    cases['a single token (RFC 7009)'] = {
      token: single,
      revokeIt: () => post(server, '/oauth2/revoke', { token: single }, { authorization: basic('machine') }),
    }
    const session = await signIn()
    cases['the tokens of a session, by one of them (RFC 7009)'] = {
      token: session.access_token,
      revokeIt: () =>
        post(server, '/oauth2/revoke', { token: session.access_token }, { authorization: basic('app') }),
    }
    const replayed = await signIn()
    cases['a session whose refresh token was replayed'] = {
      token: replayed.access_token,
      async revokeIt() {
        await refresh(server, replayed.refresh_token)
        clock.tick(11)
        return refresh(server, replayed.refresh_token)
      },
    }
    const ended = await signIn()
    cases['a session, by an administrator'] = {
      token: ended.access_token,
      revokeIt: () =>
        store.clientSessions.revokeMatching(
          { id: String(claimsOf(ended.access_token).sid) },
          clock.now(),
          'test',
        ),
    }
    const client = await machine()
    cases['a client'] = { token: client, revokeIt: () => store.status.revokeClient('machine') }
    const user = await signIn()
    cases['a user'] = {
      token: user.access_token,
      revokeIt: async () => alice && users.setDisabled(alice, true),
    }

    const bystander = await (await clientCredentials(server, {}, 'poster')).json()
    for (const { verifier } of verifiers) await verifier.ready()
    for (const [what, { token, revokeIt }] of Object.entries(cases)) {
      for (const { verdict } of verifiers) t.equal(await verdict(token), 'ok', `${what}: accepted before`)
      await revokeIt()
      await pass(server, ...verifiers)
      for (const { verdict, calls } of verifiers) {
        const before = calls.length
        t.equal(await verdict(token), 'revoked', what)
        t.equal(calls.length, before, 'and no request was sent')
      }
    }
    for (const { verdict } of verifiers) {
      const outcome = await verdict(bystander.access_token ?? '')
      t.not(outcome, 'revoked', 'no other token was affected')
    }
  },
)

t.test('a client disabled and enabled again gets unrevoked indices', async (t) => {
  const server = await started(t as Test)
  const old = (await clientCredentials(server)).json().access_token
  await server.store.clients.update('machine', (one) => ({ ...one, disabled: true }))
  await server.store.status.revokeClient('machine')
  await server.store.clients.update('machine', (one) => ({ ...one, disabled: false }))
  await server.poll()
  const fresh = (await clientCredentials(server)).json().access_token
  const one = testVerifier(server, { statusList: true })
  t.teardown(() => one.verifier.close())
  await one.verifier.ready()
  t.equal(await one.verdict(old), 'revoked')
  t.equal(await one.verdict(fresh), 'ok')
})

t.test('a revocation remains after a restart, on every node, until the token expires', async (t) => {
  const database = `${t.testdir()}/keyturn.db`
  const masterKey = Buffer.alloc(32, 7).toString('base64url')
  const first = await testServer({ database, masterKey })
  await seed(first.store)
  const token = (await clientCredentials(first)).json().access_token
  await post(first, '/oauth2/revoke', { token }, { authorization: basic('machine') })
  await first.close()
  const second = await testServer({ database, masterKey, clock: first.clock })
  t.teardown(() => second.close())
  const { verifier, verdict } = testVerifier(second, { statusList: true })
  t.teardown(() => verifier.close())
  await verifier.ready()
  t.equal(await verdict(token), 'revoked')
  t.not(
    statusOf((await clientCredentials(second)).json().access_token).idx,
    statusOf(token).idx,
    'and its index is assigned to no other token',
  )
})

t.test('issuing tokens adds no rows except a few index leases', async (t) => {
  const server = await started(t as Test)
  const machine = await server.store.clients.find('machine')
  if (!machine) throw new Error('no machine')
  const count = async () => {
    const counts: Record<string, number> = {}
    for (const name of await tablesOf(server.store)) {
      const [row] = await server.store.db.query<{ n: number }>(`SELECT count(*) AS n FROM ${name}`)
      counts[name] = row?.n ?? 0
    }
    return counts
  }
  await clientCredentials(server)
  const before = await count()
  for (let i = 0; i < 1500; i += 1) await clientCredentials(server)
  const { status_blocks: blocks = 0, ...after } = await count()
  delete before.status_blocks
  t.same(after, before, 'no table has grown')
  t.ok(blocks <= 6, `${blocks} leases for 1,500 tokens`)
})

t.test('a list of a million entries with 1,000 revoked is at most 3 KB long', async (t) => {
  const server = await started(t as Test)
  for (let i = 0; i < 1000; i += 1) {
    const { list, start } = await server.store.status.lease('token', 1, server.clock.now() + 600, 'machine')
    // Spread as the permutation spreads them.
    await server.store.status.revoke({ list, idx: (start * 611_953) % LIST_SIZE }, server.clock.now() + 600)
  }
  await server.poll()
  const zipped = await server.inject({ url: '/status-lists/1', headers: { 'accept-encoding': 'gzip' } })
  t.equal(zipped.statusCode, 200)
  t.ok(zipped.rawPayload.length <= 3072, `${zipped.rawPayload.length} bytes`)
})

t.test('revoking one token of a sign-in does not sign the user out', async (t) => {
  const server = await started(t as Test)
  const first = (await login(server)).json()
  await post(server, '/oauth2/revoke', { token: first.access_token }, { authorization: basic('app') })
  const second = (await refresh(server, first.refresh_token)).json()
  const one = testVerifier(server, { statusList: true })
  t.teardown(() => one.verifier.close())
  await server.poll()
  await one.verifier.ready()
  t.equal(await one.verdict(first.access_token), 'revoked')
  t.equal(await one.verdict(second.access_token), 'ok')
  await server.store.clientSessions.revokeMatching({}, server.clock.now(), 'test')
  await pass(server, one)
  t.equal(await one.verdict(second.access_token), 'revoked', 'the new index belongs to the session too')
})
