/** More connections than a server has places for, from one network and from many. */
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import t, { type Test } from 'tap'
import { createApp } from '../../src/http/app.ts'
import { CONNECTION_LIMITS } from '../../src/http/listener.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { basic, encodeForm } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { testServer } from '../support/server/server.ts'
import { type Connection, openConnection, postBytes } from '../support/server/tcp-connection.ts'
import { HANG_MS, until } from '../support/server/waiting.ts'

const MAX = 40
const PER_PREFIX = MAX / 4
const BODIES_PER_PREFIX = Math.floor(PER_PREFIX / 4)
const REQUEST = postBytes('/oauth2/token', encodeForm({ grant_type: 'client_credentials' }), [
  `authorization: ${basic('machine')}`,
])
const UNFINISHED = postBytes('/oauth2/token', `x=${'x'.repeat(60_000)}`).slice(0, -1)
const HEALTH = 'GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n'

async function serving(t: Test, settings: Record<string, string> = {}) {
  const server = await testServer({ settings: { MAX_CONNECTIONS: String(MAX), ...settings } })
  await seed(server.store)
  const metrics = createMetrics()
  const app = await createApp({
    server: server.deps,
    logger: server.logger as unknown as FastifyBaseLogger,
    metrics,
    // No connection is closed for its slowness.
    limits: { ...CONNECTION_LIMITS, request: HANG_MS, headers: HANG_MS, keepAlive: HANG_MS, socket: HANG_MS },
  })
  t.teardown(async () => {
    await app.close()
    await server.close()
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return {
    port,
    metrics,
    open: () =>
      new Promise<number>((resolve, reject) =>
        app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
  }
}

/** Opens one connection after the other, so that their order is certain. */
async function openAll(
  t: Test,
  port: number,
  count: number,
  from: (i: number) => string,
  send: (i: number) => string = () => '',
) {
  const all: Connection[] = []
  for (let i = 0; i < count; i += 1) {
    const connection = await openConnection(t, port, from(i))
    connection.send(send(i))
    all.push(connection)
  }
  return all
}

const closedOf = async (all: readonly Connection[]) => {
  const open = Symbol('open')
  const states = await Promise.all(all.map(({ closed }) => Promise.race([closed, wait(0, open)])))
  return states.map((state) => state !== open)
}

async function tokenFrom(t: Test, port: number, from: string): Promise<void> {
  const connection = await openConnection(t, port, from)
  connection.send(REQUEST)
  t.match(await connection.until(/access_token|error/), /^HTTP\/1\.1 200 /, `a client at ${from}`)
}

t.test(
  'unfinished bodies from one address are bounded, and clients at that address and elsewhere still get tokens (RFC 9110 §15.5.9; docs/security.md Q12)',
  async (t) => {
    const { port, open } = await serving(t as Test)
    const all = await openAll(
      t as Test,
      port,
      300,
      () => '127.0.0.2',
      () => UNFINISHED,
    )
    await until(async () => (await open()) <= PER_PREFIX)
    await tokenFrom(t as Test, port, '127.0.0.3')
    await tokenFrom(t as Test, port, '127.0.0.2')
    const left = all.filter(({ received }) => received() === '').length
    t.ok(left <= BODIES_PER_PREFIX, `${left} unfinished bodies`)
    t.match(all[0]?.received(), /^HTTP\/1\.1 503 .*retry-after: 1.*temporarily_unavailable/s)
  },
)

t.test(
  'connections from many addresses are bounded, and a new connection displaces an idle one (docs/security.md Q12)',
  async (t) => {
    const { port, open, metrics } = await serving(t as Test)
    await openAll(t as Test, port, 200, (i) => `127.0.1.${i % 20}`)
    t.ok((await open()) <= MAX)
    for (let i = 0; i < 5; i += 1) await tokenFrom(t as Test, port, `127.0.2.${i}`)
    t.ok((await open()) <= MAX)
    t.match(await metrics.text(), /keyturn_http_connections_refused_total 1\d\d/)
    t.match(await metrics.text(), /keyturn_http_connections (?:3\d|40)\n/)
  },
)

t.test('over the limit of an address, the connection that is idle the longest is closed', async (t) => {
  const { port } = await serving(t as Test)
  const first = await openAll(
    t as Test,
    port,
    PER_PREFIX,
    () => '127.0.0.1',
    () => HEALTH,
  )
  for (const connection of first) await connection.until(/"live"/)
  const [added] = await openAll(
    t as Test,
    port,
    1,
    () => '127.0.0.1',
    () => HEALTH,
  )
  await added?.until(/"live"/)
  t.notMatch(await first[0]?.closed, '503', 'without a response that no request asked for')
  t.same(
    await closedOf(first),
    first.map((_, i) => i === 0),
  )
})

t.test(
  'a proxy may have more connections than one address, and its clients have shares of their own (docs/security.md Q12)',
  async (t) => {
    const { port } = await serving(t as Test, { TRUST_PROXY: '127.0.0.1' })
    const idle = await openAll(
      t as Test,
      port,
      3 * PER_PREFIX,
      () => '127.0.0.1',
      () => HEALTH,
    )
    for (const connection of idle) await connection.until(/"live"/)
    t.same(new Set(await closedOf(idle)), new Set([false]))
    const forwarded = (from: string) => UNFINISHED.replace('\r\n\r\n', `\r\nx-forwarded-for: ${from}\r\n\r\n`)
    const honest = await openAll(
      t as Test,
      port,
      1,
      () => '127.0.0.1',
      () => forwarded('203.0.113.9'),
    )
    const rude = await openAll(
      t as Test,
      port,
      8,
      () => '127.0.0.1',
      () => forwarded('198.51.100.1'),
    )
    await rude[0]?.closed
    await rude[5]?.closed
    t.same(await closedOf(honest), [false])
    honest[0]?.send('x')
    t.match(
      await honest[0]?.until(/error/),
      /^HTTP\/1\.1 413 [\s\S]*a parameter is too long/,
      'its body arrives',
    )
  },
)
