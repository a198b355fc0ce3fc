import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import argon2 from 'argon2'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { LIMITS } from '../../src/accounts/rate-limiter.ts'
import { watchArgon2 } from '../support/server/argon2-count.ts'
import { testClock } from '../support/server/clock.ts'
import { ENGINE } from '../support/server/engine.ts'
import { hashAtRealCost } from '../support/server/quick-hashing.ts'
import { basic, encodeForm } from '../support/server/requests.ts'
import { PASSWORD, seed, user } from '../support/server/seed.ts'
import { type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'

const HOME = '192.0.2.1'

async function started(t: Test, options: TestServerOptions = {}): Promise<TestServer> {
  const server = await testServer(options)
  t.teardown(() => server.close())
  if (!(await server.store.users.findByUsername('alice'))) await seed(server.store)
  return server
}

interface Attempt {
  readonly username?: string
  readonly password?: string
  readonly from?: string
}

function attempt(server: TestServer, { username = 'alice', password = PASSWORD, from = HOME }: Attempt = {}) {
  return server.inject({
    method: 'POST',
    url: '/oauth2/token',
    remoteAddress: from,
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: basic('app') },
    payload: encodeForm({ grant_type: 'password', username, password }),
  })
}

const cheap = argon2.hash(PASSWORD, { type: argon2.argon2id, memoryCost: 1024, timeCost: 1 })

/** As many accounts as one address may guess at. */
async function insertUsers({ store }: TestServer): Promise<void> {
  for (let n = 0; n < LIMITS.address.burst; n += 1) {
    await store.users.insert(await user({ username: `user${n}`, passwordHash: await cheap }))
  }
}

/** The statuses of this many wrong guesses, one after the other. */
async function guess(server: TestServer, times: number, one: Attempt | ((n: number) => Attempt) = {}) {
  // Verifying hundreds of wrong passwords takes long and is not the subject of these tests.
  const { users } = server.store
  const alice = await users.findByUsername('alice')
  if (alice) await users.setPasswordHash(alice.id, await cheap)
  const statuses: number[] = []
  for (let n = 0; n < times; n += 1) {
    const options = typeof one === 'function' ? one(n) : one
    statuses.push((await attempt(server, { password: 'wrong', ...options })).statusCode)
  }
  return statuses
}

const counts = (statuses: readonly number[]) => ({
  wrong: statuses.filter((status) => status === 400).length,
  rateLimited: statuses.filter((status) => status === 429).length,
})
const waitOf = (answer: LightMyRequestResponse) => Number(answer.headers['retry-after'])

const { pair, address, account } = LIMITS

t.test(
  'after five wrong passwords even the right one gets 429 with Retry-After, until the bucket refills (RFC 6585 §4)',
  async (t) => {
    const server = await started(t)
    const work = watchArgon2(t)
    t.same(await guess(server, 6), [400, 400, 400, 400, 400, 429])
    work.clear()
    const refused = await attempt(server)
    t.equal(refused.statusCode, 429)
    t.match(refused.json(), { error: 'temporarily_unavailable', error_description: /too many attempts/ })
    t.equal(waitOf(refused), pair.interval)
    t.same(work.verified, [], 'nothing was checked, so nothing can be learned')
    t.match(server.logger.audits('login.rate_limited'), [{ ip: HOME, client_id: 'app' }, {}])

    server.clock.tick(pair.interval - 1)
    t.equal(waitOf(await attempt(server)), 1, 'asking again did not extend the wait')
    server.clock.tick(1)
    t.equal((await attempt(server)).statusCode, 200, 'after the announced wait the login works')
  },
)

t.test('the bucket refills one attempt at a time up to its size', async (t) => {
  const server = await started(t)
  await guess(server, 5)
  server.clock.tick(2 * pair.interval)
  t.same(await guess(server, 3), [400, 400, 429])
  server.clock.tick(pair.burst * pair.interval)
  t.same(await guess(server, 6), [400, 400, 400, 400, 400, 429])
})

t.test('a right password resets the count', async (t) => {
  const server = await started(t)
  for (let round = 0; round < 4; round += 1) {
    t.same(await guess(server, 4), [400, 400, 400, 400])
    t.equal((await attempt(server)).statusCode, 200)
  }
})

t.test('right passwords do not use up the attempts of their address', async (t) => {
  // Quick hashes would be done before the next request comes.
  hashAtRealCost(t)
  const server = await started(t, { hashingLimits: { running: 4, waiting: 100 } })
  await insertUsers(server)
  const left = 25
  await guess(server, address.burst - left, (n) => ({ username: `user${n}` }))
  // More than are left, and by several users. A few are counted until the store has given them back, which takes time.
  const attempts = Array.from({ length: address.burst - 5 }, (_, n) =>
    attempt(server, { username: `user${n}` }),
  )
  const answers = await Promise.all(attempts)
  t.same(new Set(answers.map((answer) => answer.statusCode)), new Set([200]))
  const statuses = await guess(server, left + 2, (n) => ({ username: `user${n}` }))
  t.same(counts(statuses), { wrong: left, rateLimited: 2 })
})

t.test('other addresses and other accounts are not limited (docs/security.md Q14)', async (t) => {
  const server = await started(t)
  await server.store.users.insert(await user({ username: 'bob' }))
  await guess(server, 6)
  t.equal((await attempt(server)).statusCode, 429)
  t.equal((await attempt(server, { from: '192.0.2.2' })).statusCode, 200, 'alice from another address')
  t.equal((await attempt(server, { username: 'bob' })).statusCode, 200, 'bob from the same address')
})

t.test('all spellings of a username share one count (CVE-2026-48794)', async (t) => {
  const server = await started(t)
  const spellings = ['alice', 'ALICE', ' alice', 'Alice ', 'ａｌｉｃｅ', 'alicE', 'alice']
  const statuses = await guess(server, 7, (n) => ({ username: spellings[n] ?? 'alice' }))
  t.same(counts(statuses), { wrong: 5, rateLimited: 2 })
})

t.test('an unknown username is limited in the same way', async (t) => {
  const server = await started(t)
  const known = await guess(server, 8)
  const unknown = await guess(server, 8, { username: 'nobody' })
  t.same(unknown, known)
})

t.test(
  'the counts of a user and a client with similar names are separate (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const server = await started(t)
    await server.store.users.insert(await user({ username: 'client:app', passwordHash: await cheap }))
    await guess(server, 5, { username: 'client:app' })
    t.equal((await attempt(server)).statusCode, 200)
  },
)

t.test(
  'one address that tries many accounts is limited, and others are not (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const server = await started(t)
    await insertUsers(server)
    const statuses = await guess(server, address.burst + 10, (n) => ({ username: `user${n}` }))
    t.same(counts(statuses), { wrong: address.burst, rateLimited: 10 })
    server.clock.tick(address.interval)
    t.same(await guess(server, 2, (n) => ({ username: `more${n}` })), [400, 429])
    t.equal((await attempt(server, { from: '198.51.100.1' })).statusCode, 200)
  },
)

t.test('IPv6 addresses are counted by /64 prefix (RFC 8981)', async (t) => {
  const server = await started(t)
  const hopping = (n: number) => ({ from: `2001:db8:1:2:${n.toString(16)}::${n + 1}` })
  t.same(counts(await guess(server, 8, hopping)), { wrong: 5, rateLimited: 3 })
  t.equal((await attempt(server, { from: '2001:db8:1:3::1' })).statusCode, 200, 'the neighbouring network')
  t.same(await guess(server, 6, { from: '::ffff:192.0.2.7' }), [400, 400, 400, 400, 400, 429])
  t.equal(
    (await attempt(server, { from: '192.0.2.7' })).statusCode,
    429,
    'IPv4 addresses are recognised on any socket',
  )
})

t.test(
  'three hundred addresses guessing at one account are limited, while its owner signs in from a known address (docs/security.md Q14)',
  async (t) => {
    const server = await started(t)
    t.equal((await attempt(server)).statusCode, 200, 'an earlier sign-in from home')
    server.clock.tick(30 * 86_400)
    const botnet = (n: number) => ({ from: `10.${n >> 8}.${n & 255}.1` })
    t.same(counts(await guess(server, 300, botnet)), {
      wrong: account.burst,
      rateLimited: 300 - account.burst,
    })
    t.equal(
      (await attempt(server, { from: '203.0.113.1' })).statusCode,
      429,
      'an unknown address has to wait',
    )
    t.equal((await attempt(server)).statusCode, 200, 'the known address does not')
    t.same(await guess(server, 3), [400, 400, 400], 'nor when the owner mistypes')

    // Not permanently: the wait ends with the flood.
    server.clock.tick(account.interval)
    t.equal((await attempt(server, { from: '203.0.113.1' })).statusCode, 200)
  },
)

t.test('an address stays known for ninety days', async (t) => {
  const server = await started(t)
  await attempt(server)
  server.clock.tick(91 * 86_400)
  await guess(server, account.burst + 1, (n) => ({ from: `10.0.${n}.1` }))
  t.equal((await attempt(server)).statusCode, 429)
})

t.test('the count survives a restart', async (t) => {
  const options = {
    database: join(t.testdir(), 'keyturn.db'),
    masterKey: randomBytes(32).toString('base64url'),
    clock: testClock(),
  }
  const first = await testServer(options)
  await seed(first.store)
  t.equal((await attempt(first, { from: '198.51.100.9' })).statusCode, 200)
  await guess(first, 5)
  await first.close()
  const second = await started(t, options)
  t.equal((await attempt(second)).statusCode, 429)
  await guess(second, account.burst, (n) => ({ from: `10.0.${n}.1` }))
  t.equal((await attempt(second, { from: '198.51.100.9' })).statusCode, 200, 'known addresses too')
})

t.test('two nodes on one store count together (RFC 6749 §10.10; docs/security.md P5)', async (t) => {
  const options = {
    database: join(t.testdir(), 'keyturn.db'),
    masterKey: randomBytes(32).toString('base64url'),
    clock: testClock(),
  }
  const one = await started(t, options)
  const two = await started(t, options)
  const statuses = [...(await guess(one, 3)), ...(await guess(two, 3)), ...(await guess(one, 1))]
  t.same(counts(statuses), { wrong: 5, rateLimited: 2 })
})

t.test(
  'of two hundred concurrent wrong passwords only five are checked (RFC 6749 §10.10, CVE-2023-47111; docs/security.md P5)',
  async (t) => {
    const server = await started(t, { hashingLimits: { running: 8, waiting: 400 } })
    await attempt(server, { username: 'nobody', from: '203.0.113.5' })
    const work = watchArgon2(t)
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => attempt(server, { password: 'wrong' })),
    )
    t.same(counts(answers.map((answer) => answer.statusCode)), { wrong: 5, rateLimited: 195 })
    t.equal(work.verified.length, 5)
  },
)

t.test(
  'concurrent logins over the limit get 503 with Retry-After at once, count no guess and are not logged as failures (docs/security.md Q22)',
  async (t) => {
    // Quick hashes would be done before the next request comes.
    hashAtRealCost(t)
    const server = await started(t, { hashingLimits: { running: 1, waiting: 4 } })
    const work = watchArgon2(t)
    await attempt(server)
    work.clear()
    const answers = await Promise.all(Array.from({ length: 64 }, () => attempt(server)))
    const surplus = answers.filter((answer) => answer.statusCode === 503)
    const accepted = answers.filter((answer) => answer.statusCode === 200).length
    // On PostgreSQL the attempts arrive one after the other, so a place may become free meanwhile.
    if (ENGINE === 'SQLite') t.equal(accepted, 5)
    t.equal(accepted + surplus.length, 64)
    t.ok(surplus.length > 32)
    t.equal(work.verified.length, accepted)
    for (const answer of surplus) {
      t.equal(answer.json().error, 'temporarily_unavailable')
      t.equal(waitOf(answer), 1)
    }
    t.equal((await attempt(server)).statusCode, 200, 'and the next login works')
    const levels = server.logger.lines
      .filter(({ message }) => message?.startsWith('request '))
      .map(({ level }) => level)
    t.same([levels.length, new Set(levels)], [surplus.length, new Set(['debug'])])
  },
)

t.test(
  'a clock that was far ahead locks no one out after it is corrected (docs/security.md Q7)',
  async (t) => {
    const server = await started(t)
    const right = server.clock.now()
    server.clock.tick(365 * 86_400)
    await guess(server, 6)
    t.equal((await attempt(server, { from: '198.51.100.1' })).statusCode, 200)
    server.clock.set(right)
    t.equal((await attempt(server)).statusCode, 200)
    t.equal((await attempt(server, { from: '198.51.100.1' })).statusCode, 200)
  },
)
