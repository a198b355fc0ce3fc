import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { WRITE_LIMITS } from '../../src/accounts/write-limiter.ts'
import { testClock } from '../support/server/clock.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { countQueries } from '../support/server/query-count.ts'
import { basic, claimsOf, clientCredentials, post, refresh } from '../support/server/requests.ts'
import { client, ORDERS, seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { introspect, isActive, refreshed, revoke, signedIn } from '../support/server/tokens.ts'

const server = await testServer()
t.teardown(() => server.close())
const { store, logger } = server
const { alice } = await seed(store)
await store.clients.insert(client({ id: 'other', grants: ['password', 'refresh_token'] }))
await store.clients.insert(client({ id: 'watch', introspects: [ORDERS] }))

const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, answer.json().error]
/** Some libraries parse the body, or refuse a response that is not JSON, although RFC 7009 §2.2 gives it no meaning. */
const done = ({ statusCode, body, headers }: LightMyRequestResponse) => ({
  statusCode,
  body,
  type: headers['content-type'],
  stored: headers['cache-control'],
})
const DONE = { statusCode: 200, body: '{}', type: 'application/json; charset=utf-8', stored: 'no-store' }
const HINTS = [undefined, 'access_token', 'refresh_token', 'foo', 'id_token'] as const
const hinted = (hint: string | undefined) => (hint === undefined ? {} : { token_type_hint: hint })

t.test(
  'revoking a refresh token revokes its session, whatever the hint (RFC 7009 §2, RFC 7009 §2.1; docs/security.md I97, I100, I101)',
  async (t) => {
    for (const hint of HINTS) {
      const other = await signedIn(server)
      const pair = await signedIn(server)
      t.same(done(await revoke(server, pair.refresh_token, 'app', hinted(hint))), DONE, `hint ${hint}`)
      t.same(outcome(await refresh(server, pair.refresh_token)), [400, 'invalid_grant'])
      t.notOk(await isActive(server, pair.refresh_token))
      t.notOk(await isActive(server, pair.access_token), 'its access tokens too')
      t.ok(await isActive(server, other.access_token), 'the user’s other session continues')
    }
  },
)

t.test(
  'revoking an access token revokes it alone, whatever the hint (RFC 7009 §2.1; docs/security.md I97, I100)',
  async (t) => {
    for (const hint of HINTS) {
      const pair = await signedIn(server)
      const sibling = await refreshed(server, pair.refresh_token)
      t.same(done(await revoke(server, pair.access_token, 'app', hinted(hint))), DONE, `hint ${hint}`)
      t.notOk(await isActive(server, pair.access_token))
      t.notOk(await isActive(server, sibling.access_token), 'the tokens of one session share a status entry')
      const next = await refreshed(server, sibling.refresh_token)
      t.ok(await isActive(server, next.access_token))
    }
  },
)

t.test('a machine client revokes its own token (RFC 7009 §2; docs/security.md I97)', async (t) => {
  const { access_token: token } = (await clientCredentials(server)).json()
  const { access_token: otherToken } = (await clientCredentials(server)).json()
  t.same(done(await revoke(server, token, 'machine')), DONE)
  t.notOk(await isActive(server, token, 'machine'))
  t.ok(await isActive(server, otherToken, 'machine'))
})

t.test(
  'revoking an already rotated refresh token revokes its session (RFC 7009 §2.1; docs/security.md I101)',
  async (t) => {
    const first = await signedIn(server)
    const second = await refreshed(server, first.refresh_token)
    const third = await refreshed(server, second.refresh_token)
    server.clock.tick(3600)
    t.same(done(await revoke(server, first.refresh_token)), DONE)
    t.same(outcome(await refresh(server, third.refresh_token)), [400, 'invalid_grant'])
    t.same(server.logger.audits('token.reuse_detected'), [], 'a logout is not reported as a replay')
  },
)

t.test(
  'revoking another client’s token is refused and leaves it valid (RFC 7009 §2.1, CVE-2016-6582; docs/security.md I98)',
  async (t) => {
    const pair = await signedIn(server)
    const { access_token: machine } = (await clientCredentials(server)).json()
    for (const as of ['other', 'phone', 'watch', 'machine']) {
      for (const hint of HINTS) {
        for (const token of [pair.access_token, pair.refresh_token]) {
          t.same(outcome(await revoke(server, token, as, hinted(hint))), [400, 'unauthorized_client'], as)
        }
      }
    }
    t.same(outcome(await revoke(server, machine, 'app')), [400, 'unauthorized_client'])
    t.ok(await isActive(server, pair.access_token))
    t.ok(await isActive(server, machine, 'machine'))
    await refreshed(server, pair.refresh_token)
  },
)

t.test(
  'the client is authenticated before the token is examined (RFC 7009 §2.1; docs/security.md I98)',
  async (t) => {
    const pair = await signedIn(server)
    const url = '/oauth2/revoke'
    for (const token of [pair.access_token, pair.refresh_token, 'garbage']) {
      t.same(outcome(await post(server, url, { token })), [401, 'invalid_client'], 'nobody')
      t.same(outcome(await post(server, url, { token, client_id: 'app' })), [401, 'invalid_client'], 'a name')
      const wrong = { authorization: basic('app', 'wrong') }
      t.same(outcome(await post(server, url, { token }, wrong)), [401, 'invalid_client'], 'a wrong secret')
    }
    t.ok(await isActive(server, pair.access_token))
    t.ok(await isActive(server, pair.refresh_token))
  },
)

t.test(
  'a public client can revoke its own tokens (RFC 7009 §2.1, CVE-2018-1000211; docs/security.md I98)',
  async (t) => {
    const pair = await signedIn(server, {}, 'phone')
    t.same(done(await revoke(server, pair.access_token, 'phone')), DONE)
    t.match((await introspect(server, pair.access_token, 'watch')).json(), { active: false })
    t.same(done(await revoke(server, pair.refresh_token, 'phone')), DONE)
    t.same(outcome(await refresh(server, pair.refresh_token, {}, 'phone')), [400, 'invalid_grant'])
  },
)

t.test(
  'revoking an unknown or revoked token returns 200 and writes nothing (RFC 7009 §2.2; docs/security.md I99)',
  async (t) => {
    const expired = await signedIn(server)
    const revoked = await signedIn(server)
    await revoke(server, revoked.refresh_token)
    server.clock.tick(3600)
    const genuine = await signedIn(server)
    const [head, , signature] = genuine.access_token.split('.')
    const claims = Buffer.from(JSON.stringify({ ...claimsOf(genuine.access_token), jti: 'mine' }))
    await writesNothing(t, server, async () => {
      for (const token of [
        'garbage',
        'a.b.c',
        expired.access_token,
        revoked.refresh_token,
        `${genuine.refresh_token}x`,
        genuine.refresh_token.slice(0, -1),
        `${head}.${claims.toString('base64url')}.${signature}`,
        `${'x'.repeat(5000)}`,
      ]) {
        for (const hint of HINTS) t.same(done(await revoke(server, token, 'app', hinted(hint))), DONE)
      }
    })
  },
)

t.test('revoking a token twice returns 200 both times (RFC 7009 §2.2; docs/security.md I99)', async (t) => {
  const pair = await signedIn(server)
  logger.lines.length = 0
  const twice = await Promise.all([1, 2, 3].map(() => revoke(server, pair.refresh_token)))
  for (const answer of twice) t.same(done(answer), DONE)
  t.match(logger.audits('token.revoked'), [
    { actor: 'client:app', client_id: 'app', sub: alice.id, sid: /./, ip: '127.0.0.1', request_id: /./ },
  ])
  t.equal(logger.audits('token.revoked').length, 1, 'and is audited once')
})

t.test(
  'a missing or repeated token at revocation is invalid_request (RFC 7009 §2.1; docs/security.md A3)',
  async (t) => {
    const pair = await signedIn(server)
    const headers = { authorization: basic('app') }
    for (const form of [{}, { token: '' }, { token: [pair.access_token, pair.refresh_token] }]) {
      t.same(outcome(await post(server, '/oauth2/revoke', form, headers)), [400, 'invalid_request'])
    }
    t.ok(await isActive(server, pair.access_token))
  },
)

t.test(
  'a wrong hint causes no additional store queries (RFC 7009 §2.1; docs/security.md I100)',
  async (t) => {
    const pair = await signedIn(server)
    await revoke(server, pair.refresh_token)
    const queries = countQueries(store)
    const costs: number[] = []
    for (const hint of HINTS) {
      const before = queries.count()
      await revoke(server, pair.refresh_token, 'app', hinted(hint))
      await introspect(server, pair.access_token, 'app', hinted(hint))
      costs.push(queries.count() - before)
    }
    t.equal(new Set(costs).size, 1, String(costs))
  },
)

t.test(
  'a revocation takes effect at once on every node (RFC 7009 §2.1; docs/security.md I101)',
  async (t) => {
    const options = {
      database: join(t.testdir(), 'keyturn.db'),
      masterKey: randomBytes(32).toString('base64url'),
      clock: testClock(),
    }
    const [one, two] = [await testServer(options), await testServer(options)]
    t.teardown(async () => {
      await one.close()
      await two.close()
    })
    await seed(one.store)
    const pair = await signedIn(one)
    const other = await signedIn(one)
    await revoke(one, pair.refresh_token)
    await revoke(one, other.access_token)
    t.notOk(await isActive(two, pair.access_token))
    t.notOk(await isActive(two, other.access_token))
    t.same(outcome(await refresh(two, pair.refresh_token)), [400, 'invalid_grant'])
  },
)

t.test(
  'repeating the revocation of an access token writes nothing and uses no index (RFC 7009 §2.2; docs/security.md I108)',
  async (t) => {
    const pair = await signedIn(server)
    const sibling = await refreshed(server, pair.refresh_token)
    const machine = (await clientCredentials(server)).json().access_token
    logger.lines.length = 0
    // More than a session may have revoked: those that come together count as one.
    const together = Array.from({ length: WRITE_LIMITS.sessionRevocation.burst + 10 })
    await Promise.all(together.map(() => revoke(server, pair.access_token)))
    await Promise.all(together.map(() => revoke(server, machine, 'machine')))
    t.equal(logger.audits('token.revoked').length, 2, 'each token is revoked once')
    const sid = claimsOf(pair.access_token).sid as string
    const session = await store.clientSessions.find(sid)
    t.equal(session?.revokedAt, null, 'the session continues')
    const status = session?.status
    const fresh = await server.deps.base.store.db.query('SELECT * FROM status_cursors')
    logger.lines.length = 0
    await writesNothing(t, server, async () => {
      for (let i = 0; i < 300; i += 1) {
        await revoke(server, i % 2 ? pair.access_token : sibling.access_token)
        await revoke(server, machine, 'machine')
      }
    })
    t.same(logger.audits('token.revoked'), [])
    t.same((await store.clientSessions.find(sid))?.status, status, 'the session keeps its index')
    t.same(await store.db.query('SELECT * FROM status_cursors'), fresh)
    t.notOk(await isActive(server, sibling.access_token))
    t.notOk(await isActive(server, machine, 'machine'))
  },
)

t.test(
  'a repeated revocation does not count towards the client’s limit of revocations (RFC 7009 §2.2; docs/security.md I108)',
  async (t) => {
    const twice = { burst: 2, interval: 3600 }
    const writeLimits = { ...WRITE_LIMITS, revocation: twice, sessionRevocation: twice }
    const limited = await testServer({ writeLimits })
    t.teardown(() => limited.close())
    await seed(limited.store)
    const statuses = async (token: string, as: string) => {
      const answers: number[] = []
      for (let i = 0; i < 5; i += 1) answers.push((await revoke(limited, token, as)).statusCode)
      return answers
    }
    const machine = async () => (await clientCredentials(limited)).json().access_token
    for (const token of [await machine(), await machine()])
      t.same(await statuses(token, 'machine'), [200, 200, 200, 200, 200])
    t.same(await statuses(await machine(), 'machine'), [503, 503, 503, 503, 503], 'a third token is too many')
    let pair = await signedIn(limited)
    for (let i = 0; i < 2; i += 1) {
      t.same(await statuses(pair.access_token, 'app'), [200, 200, 200, 200, 200])
      pair = await refreshed(limited, pair.refresh_token)
    }
    await revoke(limited, pair.access_token)
    t.same(outcome(await refresh(limited, pair.refresh_token)), [400, 'invalid_grant'], 'the third ends it')
  },
)

t.test(
  'a session whose access tokens are revoked again and again ends, and takes no more indices (RFC 7009 §2.1; docs/security.md I108)',
  async (t) => {
    const { burst } = WRITE_LIMITS.sessionRevocation
    let pair = await signedIn(server)
    const sid = claimsOf(pair.access_token).sid as string
    for (let i = 0; i < burst; i += 1) {
      await revoke(server, pair.access_token)
      pair = await refreshed(server, pair.refresh_token)
    }
    t.ok(await isActive(server, pair.access_token), `${burst} times are allowed`)
    await revoke(server, pair.access_token)
    t.notOk(await isActive(server, pair.access_token))
    t.same(outcome(await refresh(server, pair.refresh_token)), [400, 'invalid_grant'])
    t.type((await store.clientSessions.find(sid))?.revokedAt, 'number')
  },
)
