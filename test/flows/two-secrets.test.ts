/** A client changes to a new secret while the old one is still accepted. */
import t, { type Test } from 'tap'
import { unlimited } from '../../src/accounts/concurrency-limiter.ts'
import { CLIENT_SECRET_LIMITS } from '../../src/accounts/rate-limiter.ts'
import { generateSecret } from '../../src/oauth/client-auth/secret.ts'
import { SECRET_USE_INTERVAL } from '../../src/oauth/client-auth/secret-uses.ts'
import { addSecret, endSecret } from '../../src/oauth/client-registration/client-secrets.ts'
import { systemRandom } from '../../src/system.ts'
import { watchArgon2 } from '../support/server/argon2-count.ts'
import { FORM } from '../support/server/endpoints.ts'
import { refused } from '../support/server/error-responses.ts'
import { basic } from '../support/server/requests.ts'
import { client, SECRET, seed } from '../support/server/seed.ts'
import { type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'

const HOUR = 3600
const CHOSEN = ['the first secret that someone chose', 'the second secret that someone chose'] as const
const refusal = { status: 401, error: 'invalid_client' }

async function start(t: Test, options: TestServerOptions = {}): Promise<TestServer> {
  const server = await testServer(options)
  t.teardown(() => server.close())
  await seed(server.store)
  return server
}

const ask = (server: TestServer, secret: string, id = 'machine', remoteAddress = '203.0.113.7') =>
  server.inject({
    method: 'POST',
    url: '/oauth2/token',
    remoteAddress,
    headers: { authorization: basic(id, secret), 'content-type': FORM },
    payload: 'grant_type=client_credentials',
  })

/** Gives the client another secret. Returns it. */
async function rotate(server: TestServer, overlap: number, supplied?: string, id = 'machine') {
  let made = supplied
  await server.store.clients.update(id, async (current) => {
    const deps = { random: systemRandom, now: server.clock.now(), hashing: unlimited }
    const { secrets, secret } = await addSecret(current, { supplied, overlap }, deps)
    made ??= secret
    return { ...current, secrets }
  })
  return made ?? ''
}

t.test(
  'both secrets are accepted during the overlap, and the old one is refused from its end on, without a poll',
  async (t) => {
    const server = await start(t as Test)
    const fresh = await rotate(server, HOUR)
    t.equal((await ask(server, fresh)).statusCode, 200, 'at once')
    await server.poll()
    server.clock.tick(HOUR - 1)
    for (const secret of [SECRET, fresh]) t.equal((await ask(server, secret)).statusCode, 200)
    server.clock.tick(1)
    refused(t, await ask(server, SECRET), refusal)
    t.equal((await ask(server, fresh)).statusCode, 200)
    await server.deps.jobs.prune()
    const { secrets = [] } = (await server.store.clients.find('machine')) ?? {}
    server.clock.tick(1)
    await server.deps.jobs.prune()
    t.equal(
      secrets.length + ((await server.store.clients.find('machine'))?.secrets.length ?? 0),
      3,
      'deleted',
    )
  },
)

t.test('a secret that was ended is refused after the next poll (RFC 6749 §5.2)', async (t) => {
  const server = await start(t as Test)
  const fresh = await rotate(server, HOUR)
  t.equal((await ask(server, SECRET)).statusCode, 200)
  await server.store.clients.update('machine', (current) => {
    const [old] = current.secrets
    const secrets = endSecret(current.secrets, old?.id ?? '', { now: server.clock.now(), force: false })
    return { ...current, secrets: secrets ?? [] }
  })
  await server.poll()
  refused(t, await ask(server, SECRET), refusal)
  t.equal((await ask(server, fresh)).statusCode, 200)
})

t.test(
  'two supplied secrets cost one hash, like one secret and like an unknown client (RFC 6749 §5.2; docs/security.md A10)',
  async (t) => {
    const server = await start(t as Test)
    await server.store.clients.insert(client({ id: 'chosen', secrets: [] }))
    await rotate(server, 0, CHOSEN[0], 'chosen')
    await rotate(server, HOUR, CHOSEN[1], 'chosen')
    await server.poll()
    for (const secret of CHOSEN) t.equal((await ask(server, secret, 'chosen')).statusCode, 200)
    const work = watchArgon2(t as Test)
    for (const secret of CHOSEN) t.equal((await ask(server, secret, 'chosen')).statusCode, 200)
    t.same([work.verified.length, work.hashed], [0, 0], 'both are remembered')
    const hashes: number[] = []
    for (const id of ['chosen', 'machine', 'nobody']) {
      // The first hash of the process for an unknown client is made only once.
      await ask(server, 'a guess', id, '192.0.2.1')
      work.clear()
      const statuses: number[] = []
      for (let n = 1; n <= CLIENT_SECRET_LIMITS.pair.burst; n += 1)
        statuses.push((await ask(server, `guess ${n}`, id, '192.0.2.1')).statusCode)
      hashes.push(work.verified.length + work.hashed)
      t.same([statuses.indexOf(429), statuses.at(-2)], [statuses.length - 1, 401], id)
    }
    t.same(hashes, Array(3).fill(CLIENT_SECRET_LIMITS.pair.burst - 1))
    server.clock.tick(HOUR)
    refused(t, await ask(server, CHOSEN[0], 'chosen'), refusal, 'also where it was remembered')
    t.equal((await ask(server, CHOSEN[1], 'chosen')).statusCode, 200)
  },
)

t.test('a supplied secret and a generated one overlap, in either order', async (t) => {
  const server = await start(t as Test)
  const work = watchArgon2(t as Test)
  await rotate(server, HOUR, CHOSEN[0])
  await server.poll()
  for (const secret of [SECRET, CHOSEN[0]]) t.equal((await ask(server, secret)).statusCode, 200)
  await rotate(server, 0, CHOSEN[0])
  const generated = await rotate(server, HOUR)
  await server.poll()
  work.clear()
  t.equal((await ask(server, generated)).statusCode, 200)
  t.same(work.verified, [], 'a generated secret costs no hash')
  t.equal((await ask(server, CHOSEN[0])).statusCode, 200)
  refused(t, await ask(server, generateSecret(systemRandom)), refusal)
})

t.test('the last use of each secret is stored at the next poll, and at most once an hour', async (t) => {
  const server = await start(t as Test)
  const { clients } = server.store
  const fresh = await rotate(server, 24 * HOUR)
  const [old, added] = (await clients.find('machine'))?.secrets ?? []
  const uses = async () => {
    await server.poll()
    const stored = await clients.secretUses('machine')
    return [stored.get(old?.id ?? ''), stored.get(added?.id ?? '')]
  }
  const began = server.clock.now()
  await ask(server, SECRET)
  await ask(server, 'a wrong one')
  t.same([...(await clients.secretUses('machine'))], [], 'a token request does not wait for it')
  t.same(await uses(), [began, undefined])
  server.clock.tick(SECRET_USE_INTERVAL - 1)
  for (const secret of [SECRET, fresh]) await ask(server, secret)
  t.same(await uses(), [began, server.clock.now()], 'that of the old one is not written again')
  server.clock.tick(1)
  await ask(server, SECRET)
  t.same(await uses(), [server.clock.now(), server.clock.now() - 1])
})

t.test('a token request goes on if its use cannot be stored', async (t) => {
  const server = await start(t as Test)
  const { recordSecretUses } = server.store.clients
  const calls: number[] = []
  Object.assign(server.deps.base.store.clients, {
    async recordSecretUses(uses: readonly unknown[]) {
      calls.push(uses.length)
      throw new Error('the disk is full')
    },
  })
  t.teardown(() => Object.assign(server.deps.base.store.clients, { recordSecretUses }))
  t.equal((await ask(server, SECRET)).statusCode, 200)
  await server.poll()
  t.equal((await ask(server, SECRET)).statusCode, 200)
  await server.poll()
  t.same(calls, [1, 1], 'tried again with the next use')
})
