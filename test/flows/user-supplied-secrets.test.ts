import argon2 from 'argon2'
import t, { type Test } from 'tap'
import { unlimited } from '../../src/accounts/concurrency-limiter.ts'
import { hashPassword } from '../../src/accounts/password.ts'
import { CLIENT_SECRET_LIMITS } from '../../src/accounts/rate-limiter.ts'
import { generateSecret, hashSuppliedSecret } from '../../src/oauth/client-auth/secret.ts'
import { watchArgon2 } from '../support/server/argon2-count.ts'
import { FORM } from '../support/server/endpoints.ts'
import { refused } from '../support/server/error-responses.ts'
import { hashAtRealCost } from '../support/server/quick-hashing.ts'
import { basic } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import { type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'

const USER_SUPPLIED = 'a secret that a user chose'
const hash = hashPassword(USER_SUPPLIED)
const HOME = '203.0.113.7'
const AWAY = '198.51.100.9'

async function start(t: Test, options: TestServerOptions = {}): Promise<TestServer> {
  const server = await testServer(options)
  t.teardown(() => server.close())
  if ((await server.store.clients.find('machine')) === null) await seed(server.store)
  await server.store.clients.insert(client({ id: 'migrated', secretHash: await hash }))
  await server.poll()
  return server
}

const ask = (server: TestServer, secret: string, remoteAddress: string = HOME, id = 'migrated') =>
  server.inject({
    method: 'POST',
    url: '/oauth2/token',
    remoteAddress,
    headers: { authorization: basic(id, secret), 'content-type': FORM },
    payload: 'grant_type=client_credentials',
  })

/** Guesses until one is no longer checked; returns how many were. */
async function guessUntilRateLimited(
  server: TestServer,
  from: (i: number) => string,
  maxGuesses = 60,
): Promise<number> {
  for (let i = 0; i < maxGuesses; i += 1) {
    const { statusCode } = await ask(server, `guess ${i}`, from(i))
    if (statusCode === 429) return i
    if (statusCode !== 401) throw new Error(`guess ${i} was answered with ${statusCode}`)
  }
  return maxGuesses
}

t.test(
  'a user-supplied secret works like a generated one (RFC 6749 §2.3.1; docs/security.md B15)',
  async (t) => {
    const server = await start(t)
    t.equal((await ask(server, USER_SUPPLIED)).statusCode, 200)
    refused(t, await ask(server, `${USER_SUPPLIED}!`), { status: 401, error: 'invalid_client' })
    refused(t, await ask(server, ''), { status: 401, error: 'invalid_client' })
  },
)

t.test(
  'a verified secret is cached, so its owner gets through while hashing is overloaded (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    // Quick hashes would be done before the next request comes.
    hashAtRealCost(t)
    const server = await start(t, { hashingLimits: { running: 1, waiting: 0 } })
    t.equal((await ask(server, USER_SUPPLIED)).statusCode, 200)
    const guesses = Array.from({ length: 4 }, (_, i) => ask(server, `guess ${i}`, AWAY))
    const owner = await Promise.all(Array.from({ length: 4 }, () => ask(server, USER_SUPPLIED)))
    t.same(
      owner.map(({ statusCode }) => statusCode),
      [200, 200, 200, 200],
      'the owner’s secret is not hashed',
    )
    const answers = await Promise.all(guesses)
    const full = answers.find(({ statusCode }) => statusCode === 503)
    if (!full) throw new Error('the concurrency limiter was never full, so this test shows nothing')
    refused(t, full, { status: 503, error: 'temporarily_unavailable' })
    t.match(full.headers['retry-after'], /^\d+$/)
  },
)

t.test(
  'guesses from one address are limited, while the owner gets in from there and elsewhere (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const server = await start(t)
    t.equal((await ask(server, USER_SUPPLIED)).statusCode, 200)
    t.equal(await guessUntilRateLimited(server, () => HOME), CLIENT_SECRET_LIMITS.pair.burst)
    const answer = await ask(server, 'one more guess')
    refused(t, answer, { status: 429, error: 'temporarily_unavailable' })
    t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
    t.equal((await ask(server, USER_SUPPLIED)).statusCode, 200, 'from the same address')
    t.equal((await ask(server, USER_SUPPLIED, AWAY)).statusCode, 200, 'from elsewhere')
    const [audited] = server.logger.audits('client.authentication_failed').slice(-1)
    t.match(audited, { client_id: 'migrated', ip: HOME, reason: 'rate_limited' })
  },
)

t.test(
  'a stranger on forty networks does not keep the owner out, from a known address or a new one (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const server = await start(t)
    const secretHash = await argon2.hash(USER_SUPPLIED, {
      type: argon2.argon2id,
      memoryCost: 1024,
      timeCost: 1,
    })
    await server.store.clients.insert(client({ id: 'cheap', secretHash }))
    await server.poll()
    const at = (secret: string, ip: string) => ask(server, secret, ip, 'cheap')
    t.equal((await at(USER_SUPPLIED, HOME)).statusCode, 200)
    for (let i = 0; i < 80; i += 1) await at(`guess ${i}`, `192.0.2.${i % 40}`)
    t.equal((await at(USER_SUPPLIED, HOME)).statusCode, 200, 'from a known address')
    t.equal((await at(USER_SUPPLIED, AWAY)).statusCode, 200, 'from a new one')
  },
)

t.test(
  'the counts of guesses survive a restart, and an owner at another address does not reset them (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const database = `${t.testdir()}/keyturn.db`
    const masterKey = Buffer.alloc(32, 7).toString('base64url')
    const first = await start(t, { database, masterKey })
    await guessUntilRateLimited(first, () => AWAY)
    t.equal((await ask(first, USER_SUPPLIED)).statusCode, 200)
    // Otherwise a stranger could go on guessing: 200 for the right secret and 429 for all others.
    const limited = { status: 429, error: 'temporarily_unavailable' }
    refused(
      t,
      await ask(first, USER_SUPPLIED, AWAY),
      limited,
      'the right secret where the guesses are used up',
    )
    const second = await start(t, { database, masterKey, clock: first.clock })
    refused(t, await ask(second, 'guess', AWAY), limited, 'the counts are kept')
    t.equal((await ask(second, USER_SUPPLIED)).statusCode, 200, 'the owner, at a known address')
  },
)

t.test(
  'neither the cost nor the rate limit of a wrong secret shows whether there is such a client (RFC 6749 §5.2; docs/security.md A10)',
  async (t) => {
    const server = await start(t)
    await server.store.clients.insert(client({ id: 'off', secretHash: await hash, disabled: true }))
    await server.store.clients.insert(client({ id: 'public', authMethod: 'none', secretHash: null }))
    await server.poll()
    const work = watchArgon2(t)
    const generated = generateSecret({ bytes: (count) => Buffer.alloc(count, 1) })
    const ids = ['migrated', 'machine', 'off', 'public', 'nobody']
    for (const [i, id] of ids.entries()) {
      const from = `192.0.2.${i}`
      await ask(server, 'guess', from, id)
      work.clear()
      const statuses: number[] = []
      for (let n = 0; n < CLIENT_SECRET_LIMITS.pair.burst; n += 1)
        statuses.push((await ask(server, `guess ${n}`, from, id)).statusCode)
      t.equal(work.verified.length, CLIENT_SECRET_LIMITS.pair.burst - 1, id)
      t.equal(new Set(work.verified).size, 1, 'with the same parameters')
      t.same([statuses.indexOf(429), statuses.at(-2)], [statuses.length - 1, 401], id)
      work.clear()
      await ask(server, generated, `198.51.100.${i}`, id)
      t.same(work.verified, [], 'a secret in the form of a generated one costs no hash')
    }
  },
)

t.test('a supplied secret in the form of a generated one is stored like one', async (t) => {
  const server = await start(t)
  const secret = generateSecret({ bytes: (count) => Buffer.alloc(count, 2) })
  await server.store.clients.insert(
    client({ id: 'moved', secretHash: await hashSuppliedSecret(secret, unlimited) }),
  )
  await server.poll()
  const work = watchArgon2(t)
  t.equal((await ask(server, secret, HOME, 'moved')).statusCode, 200)
  t.same(work.verified, [])
})

t.test(
  'an address that guessed may try again later (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const server = await start(t)
    await guessUntilRateLimited(server, () => HOME)
    refused(
      t,
      await ask(server, USER_SUPPLIED),
      { status: 429, error: 'temporarily_unavailable' },
      'from an address unknown here',
    )
    server.clock.tick(CLIENT_SECRET_LIMITS.pair.interval)
    t.equal((await ask(server, USER_SUPPLIED)).statusCode, 200)
  },
)

t.test(
  'a new secret works at once, and the old one is refused after the next poll (RFC 6749 §5.2, RFC 7662 §4; docs/security.md E62)',
  async (t) => {
    const server = await start(t)
    t.equal((await ask(server, USER_SUPPLIED)).statusCode, 200)
    const secretHash = await hashPassword('another secret')
    await server.store.clients.update('migrated', () => client({ id: 'migrated', secretHash }))
    t.equal((await ask(server, 'another secret')).statusCode, 200, 'before the node has polled it')
    await server.poll()
    refused(t, await ask(server, USER_SUPPLIED), { status: 401, error: 'invalid_client' })
    t.equal((await ask(server, 'another secret')).statusCode, 200)
  },
)
