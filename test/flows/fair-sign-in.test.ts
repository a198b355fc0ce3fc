/** A flood of guesses from few or many networks, against a user and a client who are elsewhere. */
import argon2 from 'argon2'
import t, { type Test } from 'tap'
import { LIMITS } from '../../src/accounts/rate-limiter.ts'
import { watchArgon2 } from '../support/server/argon2-count.ts'
import { ENGINE } from '../support/server/engine.ts'
import { hashAtRealCost } from '../support/server/quick-hashing.ts'
import { basic, encodeForm } from '../support/server/requests.ts'
import { client, PASSWORD, seed, user } from '../support/server/seed.ts'
import { type TestServer, type TestServerOptions, testServer } from '../support/server/server.ts'

// The tests count the hashes until a user has signed in. On PostgreSQL the user also waits for the database, which takes longer than a
// quick hash.
if (ENGINE === 'PostgreSQL') hashAtRealCost(t)

const HOME = '203.0.113.1'
/** From one prefix: enough for a full queue. The PostgreSQL run of the flow tests has more from many prefixes, and also tries ten. */
const CONNECTIONS = 30
const SUPPLIED = 'a secret that an administrator supplied'

async function start(t: Test, options: TestServerOptions = {}): Promise<TestServer> {
  const server = await testServer({
    hashingLimits: { running: 1, waiting: 16 },
    // On PostgreSQL, so that guesses could also take all connections of the pool.
    settings: { DATABASE_POOL: '2' },
    ...options,
  })
  t.teardown(() => server.close())
  await seed(server.store)
  // As cheap as argon2 allows: the tests are about turns, not about time.
  const cheap = { type: argon2.argon2id, memoryCost: 1024, timeCost: 1 } as const
  const secretHash = await argon2.hash(SUPPLIED, cheap)
  await server.store.clients.insert(client({ id: 'migrated', secretHash }))
  await server.poll()
  return server
}

function token(server: TestServer, from: string, authorization: string, form: Record<string, string>) {
  return server.inject({
    method: 'POST',
    url: '/oauth2/token',
    remoteAddress: from,
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization },
    payload: encodeForm(form),
  })
}

const login = (server: TestServer, from: string, username = 'alice', password = PASSWORD) =>
  token(server, from, basic('app'), { grant_type: 'password', username, password })

const machine = (server: TestServer, from: string, secret: string) =>
  token(server, from, basic('migrated', secret), { grant_type: 'client_credentials' })

type Guess = (from: string, n: number) => Promise<{ statusCode: number }>

/** The first guess of every prefix. Afterwards prefixes that have not failed go first. */
async function failOnce(prefixes: number, guess: Guess): Promise<void> {
  for (let i = 0; i < prefixes; i += 1) await guess(prefixOf(i), -i)
}

const prefixOf = (i: number) => `10.0.${i}.1`

/** Guesses from many connections until it is stopped; counts the statuses. */
function flood(prefixes: number, guess: Guess) {
  const statuses = new Map<number, number>()
  let going = true
  let n = 0
  async function connection(from: string): Promise<void> {
    while (going) {
      n += 1
      const { statusCode } = await guess(from, n)
      statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
    }
  }
  const perPrefix = Math.ceil(CONNECTIONS / (ENGINE === 'SQLite' ? prefixes : Math.sqrt(prefixes)))
  const connections = Array.from({ length: prefixes * perPrefix }, (_, i) =>
    connection(prefixOf(i % prefixes)),
  )
  return {
    statuses,
    async stop() {
      going = false
      await Promise.all(connections)
    },
  }
}

const PREFIXES = ENGINE === 'SQLite' ? [1, 100] : [1, 10, 100]

for (const prefixes of PREFIXES) {
  t.test(
    `guesses at passwords from ${prefixes} IP prefixes do not keep a user at a known location from signing in (docs/security.md Q14)`,
    async (t) => {
      const server = await start(t)
      t.equal((await login(server, HOME)).statusCode, 200)
      const work = watchArgon2(t)
      const attack = flood(prefixes, (from, n) => login(server, from, `user${n}`, 'wrong'))
      for (let i = 0; i < 3; i += 1) {
        while (work.verified.length === 0) await new Promise(setImmediate)
        work.clear()
        t.equal((await login(server, HOME)).statusCode, 200)
        t.ok(
          work.verified.length <= 8,
          `${work.verified.length} hashes meanwhile; a full queue would be sixteen`,
        )
        work.clear()
        // The buckets of the attacker refill, so that guesses are hashed again.
        server.clock.tick(LIMITS.address.interval)
      }
      await attack.stop()
    },
  )

  t.test(
    `guesses at client secrets from ${prefixes} IP prefixes keep neither the client nor a user out (docs/security.md B19, Q14)`,
    async (t) => {
      const server = await start(t)
      t.equal((await login(server, HOME)).statusCode, 200)
      const guess: Guess = (from, n) => machine(server, from, `guess ${n}`)
      await failOnce(prefixes, guess)
      const attack = flood(prefixes, guess)
      const work = watchArgon2(t)
      for (let i = 0; i < 3; i += 1) {
        t.equal((await login(server, HOME)).statusCode, 200, 'a user')
        t.equal((await login(server, `203.0.113.${i + 10}`)).statusCode, 200, 'a user at a new location')
        work.clear()
        t.equal((await machine(server, `203.0.113.${i}`, SUPPLIED)).statusCode, 200, 'the client')
        // On PostgreSQL the request also waits for connections, before it takes its place.
        if (ENGINE === 'SQLite') t.ok(work.verified.length <= 5, `${work.verified.length} hashes meanwhile`)
        server.clock.tick(60)
      }
      await attack.stop()
    },
  )
}

for (const prefixes of PREFIXES.filter((count) => count > 1)) {
  t.test(
    `a user at a new location signs in while ${prefixes} IP prefixes guess (docs/security.md Q14)`,
    async (t) => {
      const server = await start(t)
      const guess: Guess = (from, n) => login(server, from, `user${n}`, 'wrong')
      await failOnce(prefixes, guess)
      const attack = flood(prefixes, guess)
      for (let i = 0; i < 3; i += 1) {
        t.equal((await login(server, `203.0.113.${i}`)).statusCode, 200)
        server.clock.tick(LIMITS.address.interval)
      }
      await attack.stop()
    },
  )
}

t.test(
  'a guess that is certain to be refused causes no query and takes no place in the queue (docs/security.md Q14)',
  async (t) => {
    const server = await start(t, { hashingLimits: { running: 1, waiting: 0 } })
    await server.store.users.insert(await user({ username: 'bob' }))
    for (let i = 0; i < LIMITS.pair.burst + 1; i += 1) await login(server, HOME, 'alice', 'wrong')
    const { db } = server.store
    const { query, batch } = db
    let calls = 0
    Object.assign(db, {
      query: (...args: Parameters<typeof query>) => {
        calls += 1
        return query(...args)
      },
      batch: (...args: Parameters<typeof batch>) => {
        calls += 1
        return batch(...args)
      },
    })
    const answers = await Promise.all(Array.from({ length: 50 }, () => login(server, HOME, 'alice', 'wrong')))
    Object.assign(db, { query, batch })
    t.same(new Set(answers.map(({ statusCode }) => statusCode)), new Set([429]))
    t.equal(calls, 0)
    t.equal(server.deps.accounts.passwordLimiter.state().refused, 0)
    t.equal((await login(server, HOME, 'bob')).statusCode, 200)
  },
)
