import t, { type Test } from 'tap'
import { MAX_VERIFIERS } from '../../src/keys/known-verifiers.ts'
import { activeKey } from '../../src/keys/ring.ts'
import { RotationUnsafe, rotateRing } from '../../src/keys/rotate.ts'
import { type TestVerifier, testVerifier } from '../support/issuers/verifier.ts'
import { clientCredentials } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'

const DAY = 86_400

async function started(t: Test, settings: Record<string, string> = {}): Promise<TestServer> {
  const server = await testServer({ settings: { KEY_ROTATION: 'off', ...settings } })
  t.teardown(() => server.close())
  await seed(server.store)
  return server
}

async function fetchKeys(server: TestServer, ...verifiers: TestVerifier[]) {
  for (const { verifier } of verifiers) await verifier.ready()
  await server.poll()
}

/** A verifier that rotations wait for. */
const named = async (t: Test, server: TestServer, name: string) => {
  await server.store.verifiers.expect(name, server.clock.now())
  const one = testVerifier(server, { name })
  t.teardown(() => one.verifier.close())
  return one
}

const rotate = (server: TestServer, force = false) =>
  rotateRing(server.deps.keys, { actor: 'test', force }).then(
    () => 'rotated',
    (error: unknown) => {
      if (error instanceof RotationUnsafe) return { safeFrom: error.safeFrom, behind: error.behind }
      throw error
    },
  )

t.test('a rotation waits for a frozen verifier and names it', async (t) => {
  const server = await started(t as Test)
  const [orders, stock, mail] = (await Promise.all(
    ['orders', 'stock', 'mail'].map((name) => named(t as Test, server, name)),
  )) as [TestVerifier, TestVerifier, TestVerifier]
  await fetchKeys(server, orders, stock, mail)
  t.equal(await rotate(server), 'rotated', 'all of them have the first next key')
  await server.poll()
  server.clock.tick(DAY)
  await fetchKeys(server, orders, stock)
  t.match(await rotate(server), { behind: ['mail'] }, 'time alone would have allowed it')
  await fetchKeys(server, mail)
  t.equal(await rotate(server), 'rotated')
})

t.test('reports of verifiers never shorten the wait', async (t) => {
  const server = await started(t as Test)
  const orders = await named(t as Test, server, 'orders')
  await fetchKeys(server, orders)
  await rotate(server)
  await server.poll()
  await fetchKeys(server, orders)
  t.match(await rotate(server), { behind: [], safeFrom: server.clock.now() + DAY })
})

t.test(
  'a verifier that stops reporting is dropped after VERIFIER_CACHE, and one removed by command at once',
  async (t) => {
    const server = await started(t as Test)
    const [gone, old] = (await Promise.all(
      ['gone', 'old'].map((name) => named(t as Test, server, name)),
    )) as [TestVerifier, TestVerifier]
    await fetchKeys(server, gone, old)
    await rotate(server)
    await server.poll()
    server.clock.tick(DAY)
    t.match(await rotate(server), { behind: ['gone', 'old'] })
    await server.store.verifiers.delete('gone')
    t.match(await rotate(server), { behind: ['old'] })
    server.clock.tick(1)
    t.equal(await rotate(server), 'rotated', 'a cached JWKS cannot be older')
  },
)

t.test('a forced rotation goes ahead, and an automatic one waits', async (t) => {
  const server = await started(t as Test, { KEY_ROTATION: '1d' })
  const orders = await named(t as Test, server, 'orders')
  await fetchKeys(server, orders)
  t.equal(await rotate(server, true), 'rotated')
  await server.poll()
  const { kid } = activeKey(server.deps.signing.ring.ring())
  server.clock.tick(DAY)
  await server.poll()
  t.equal(activeKey(server.deps.signing.ring.ring()).kid, kid, 'the verifier is behind')
  await fetchKeys(server, orders)
  await server.poll()
  t.not(activeKey(server.deps.signing.ring.ring()).kid, kid, 'it is no longer behind')
})

t.test('ten rotations under load with three named verifiers refuse no token', async (t) => {
  const server = await started(t as Test)
  const verifiers = await Promise.all(
    ['orders', 'stock', 'mail'].map((name) => named(t as Test, server, name)),
  )
  await fetchKeys(server, ...verifiers)
  let verified = 0
  const verifyAll = async () => {
    const token = (await clientCredentials(server)).json().access_token
    for (const { verdict } of verifiers) {
      t.equal(await verdict(token), 'ok')
      verified += 1
    }
  }
  for (let rotation = 0; rotation < 10; rotation += 1) {
    await verifyAll()
    t.equal(await rotate(server), 'rotated')
    await verifyAll()
    await server.poll()
    await verifyAll()
    for (let hour = 0; hour < 25; hour += 5) {
      server.clock.tick(5 * 3600)
      await server.poll()
      await verifyAll()
      await server.poll()
    }
  }
  t.equal(verified, 10 * 8 * 3)
})

t.test('an unauthenticated verifier header can neither break the endpoint nor fill the store', async (t) => {
  const server = await started(t as Test)
  const ask = (value: string) =>
    server.inject({ url: '/.well-known/jwks.json', headers: { 'keyturn-verifier': value } })
  for (const bad of [
    '',
    'orders',
    'a b; instance=x',
    `${'n'.repeat(65)}; instance=x`,
    'x; instance=',
    '<b>; instance=1',
  ]) {
    t.equal((await ask(bad)).statusCode, 200)
  }
  await server.poll()
  t.same(await server.store.verifiers.list(0), [])
  for (let i = 0; i < 1500; i += 1) await ask(`flood; instance=${i}`)
  await server.poll()
  t.equal((await server.store.verifiers.list(0)).length, 1000)
})

t.test('repeated reports of the same verifier are stored once a minute', async (t) => {
  const server = await started(t as Test)
  const ask = () =>
    server.inject({ url: '/.well-known/jwks.json', headers: { 'keyturn-verifier': 'orders; instance=a' } })
  const seenAt = async () => (await server.store.verifiers.list(0))[0]?.seenAt
  await ask()
  await server.poll()
  const first = await seenAt()
  server.clock.tick(59)
  await ask()
  await server.poll()
  t.equal(await seenAt(), first)
  server.clock.tick(2)
  await ask()
  await server.poll()
  t.equal(await seenAt(), server.clock.now())
})

t.test(
  'a name that no administrator expects delays no rotation, however often it is sent (docs/security.md Q21)',
  async (t) => {
    const server = await started(t as Test)
    const ask = (name: string) =>
      server.inject({ url: '/.well-known/jwks.json', headers: { 'keyturn-verifier': `${name}; instance=a` } })
    for (let i = 0; i < 3; i += 1) await ask('stranger')
    await server.poll()
    t.equal(await rotate(server), 'rotated')
    await server.poll()
    server.clock.tick(DAY)
    t.equal(await rotate(server), 'rotated', 'the stranger has never fetched the next key')
    t.match(
      await server.store.verifiers.list(0),
      [{ name: 'stranger', expected: false }],
      'it is listed as seen',
    )
  },
)

t.test('ten thousand made-up names push no expected verifier out (docs/security.md Q21)', async (t) => {
  const server = await started(t as Test)
  const ask = (name: string) =>
    server.inject({ url: '/.well-known/jwks.json', headers: { 'keyturn-verifier': `${name}; instance=a` } })
  const orders = await named(t as Test, server, 'orders')
  server.clock.tick(5)
  await ask('first')
  await server.poll()
  for (let i = 0; i < 10_000; i += 1) await ask(`made-up-${i}`)
  await fetchKeys(server, orders)
  const listed = await server.store.verifiers.list(0)
  t.equal(listed.length, MAX_VERIFIERS + 1)
  t.match(
    listed.filter(({ expected }) => expected),
    [{ name: 'orders' }],
  )
})
