import t, { type Test } from 'tap'
import { hashPassword } from '../../src/accounts/password.ts'
import { LIMITS } from '../../src/accounts/rate-limiter.ts'
import { FORM } from '../support/server/endpoints.ts'
import { refused } from '../support/server/error-responses.ts'
import { basic } from '../support/server/requests.ts'
import { client, seed } from '../support/server/seed.ts'
import { type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'

const CHOSEN = 'a secret that somebody chose'
const hash = hashPassword(CHOSEN)
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

const ask = (server: TestServer, secret: string, remoteAddress: string = HOME) =>
  server.inject({
    method: 'POST',
    url: '/oauth2/token',
    remoteAddress,
    headers: { authorization: basic('migrated', secret), 'content-type': FORM },
    payload: 'grant_type=client_credentials',
  })

/** Guesses until one is no longer checked; returns how many were. */
async function guessUntilThrottled(
  server: TestServer,
  from: (i: number) => string,
  most = 60,
): Promise<number> {
  for (let i = 0; i < most; i += 1) {
    const { statusCode } = await ask(server, `guess ${i}`, from(i))
    if (statusCode === 429) return i
    if (statusCode !== 401) throw new Error(`guess ${i} was answered with ${statusCode}`)
  }
  return most
}

t.test(
  'a user-supplied secret works like a generated one (RFC 6749 §2.3.1; docs/security.md B15)',
  async (t) => {
    const server = await start(t)
    t.equal((await ask(server, CHOSEN)).statusCode, 200)
    refused(t, await ask(server, `${CHOSEN}!`), { status: 401, error: 'invalid_client' })
    refused(t, await ask(server, ''), { status: 401, error: 'invalid_client' })
  },
)

t.test(
  'a verified secret is cached, so its owner gets through while hashing is overloaded (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const server = await start(t, { hashingLimits: { running: 1, waiting: 0 } })
    t.equal((await ask(server, CHOSEN)).statusCode, 200)
    const guesses = Array.from({ length: 4 }, (_, i) => ask(server, `guess ${i}`, AWAY))
    const owner = await Promise.all(Array.from({ length: 4 }, () => ask(server, CHOSEN)))
    t.same(
      owner.map(({ statusCode }) => statusCode),
      [200, 200, 200, 200],
      'the owner’s secret is not hashed',
    )
    const answers = await Promise.all(guesses)
    const full = answers.find(({ statusCode }) => statusCode === 503)
    if (!full) throw new Error('the gate was never full, so this test shows nothing')
    refused(t, full, { status: 503, error: 'temporarily_unavailable' })
    t.match(full.headers['retry-after'], /^\d+$/)
  },
)

t.test(
  'guesses from one address are limited, while the owner gets in from there and elsewhere (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const server = await start(t)
    t.equal((await ask(server, CHOSEN)).statusCode, 200)
    t.equal(await guessUntilThrottled(server, () => HOME), LIMITS.pair.burst)
    const answer = await ask(server, 'one more guess')
    refused(t, answer, { status: 429, error: 'temporarily_unavailable' })
    t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
    t.equal((await ask(server, CHOSEN)).statusCode, 200, 'from the same address')
    t.equal((await ask(server, CHOSEN, AWAY)).statusCode, 200, 'from elsewhere')
    const [audited] = server.logger.audits('client.authentication_failed').slice(-1)
    t.match(audited, { client_id: 'migrated', ip: HOME, reason: 'rate_limited' })
  },
)

t.test(
  'guesses from many addresses are limited, while the owner is not, even after a restart (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const database = `${t.testdir()}/keyturn.db`
    const masterKey = Buffer.alloc(32, 7).toString('base64url')
    const first = await start(t, { database, masterKey })
    t.equal((await ask(first, CHOSEN)).statusCode, 200)
    t.equal(await guessUntilThrottled(first, (i) => `192.0.2.${i}`), LIMITS.account.burst)
    const second = await start(t, { database, masterKey, clock: first.clock })
    const fresh = await ask(second, 'guess', '192.0.2.200')
    refused(t, fresh, { status: 429, error: 'temporarily_unavailable' }, 'the counts are kept')
    t.equal((await ask(second, CHOSEN)).statusCode, 200, 'from a known address')
  },
)

t.test(
  'an address that guessed may try again later (RFC 6749 §2.3.1, RFC 7009 §5; docs/security.md B19)',
  async (t) => {
    const server = await start(t)
    await guessUntilThrottled(server, () => HOME)
    refused(
      t,
      await ask(server, CHOSEN),
      { status: 429, error: 'temporarily_unavailable' },
      'from an address unknown here',
    )
    server.clock.tick(LIMITS.pair.interval)
    t.equal((await ask(server, CHOSEN)).statusCode, 200)
  },
)

t.test(
  'a new secret works at once, and the old one is refused after the next poll (RFC 6749 §5.2, RFC 7662 §4; docs/security.md E62)',
  async (t) => {
    const server = await start(t)
    t.equal((await ask(server, CHOSEN)).statusCode, 200)
    const secretHash = await hashPassword('another secret')
    await server.store.clients.replace(client({ id: 'migrated', secretHash }))
    t.equal((await ask(server, 'another secret')).statusCode, 200, 'before the node has polled it')
    await server.poll()
    refused(t, await ask(server, CHOSEN), { status: 401, error: 'invalid_client' })
    t.equal((await ask(server, 'another secret')).statusCode, 200)
  },
)
