import t, { type Test } from 'tap'
import { LIMITS } from '../../src/accounts/rate-limiter.ts'
import { FORM } from '../support/server/endpoints.ts'
import { basic } from '../support/server/requests.ts'
import { seed } from '../support/server/seed.ts'
import { type TestServer, testServer } from '../support/server/server.ts'

const PROXY = '10.0.0.1'

const servers = new Map<string, TestServer>()

/** One server for each setting, since starting one takes longer than its requests. */
async function trusting(trust: string): Promise<TestServer> {
  const held = servers.get(trust)
  if (held) return held
  const server = await testServer({ settings: { TRUST_PROXY: trust } })
  t.teardown(() => server.close())
  await seed(server.store)
  servers.set(trust, server)
  return server
}

/** Sends one request with a wrong secret and one with the right one, and returns the address in the audit lines. */
async function auditedFrom(t: Test, trust: string, headers: Record<string, string>, peer = PROXY) {
  const server = await trusting(trust)
  server.logger.lines.length = 0
  for (const secret of ['wrong', undefined]) {
    const answer = await server.inject({
      method: 'POST',
      url: '/oauth2/token',
      remoteAddress: peer,
      headers: { authorization: basic('machine', secret), 'content-type': FORM, ...headers },
      payload: 'grant_type=client_credentials',
    })
    t.equal(answer.statusCode, secret ? 401 : 200, JSON.stringify(headers))
  }
  const lines = server.logger.audits().filter(({ ip }) => ip !== undefined)
  t.same(lines.map(({ audit }) => audit).sort(), [
    'client.authentication_failed',
    'token.issued',
    'token.refused',
  ])
  const addresses = new Set(lines.map(({ ip }) => ip))
  t.equal(addresses.size, 1)
  return [...addresses][0]
}

const via = (value: string) => ({ 'x-forwarded-for': value })

t.test('without TRUST_PROXY the logged address is the peer’s, whatever the headers say', async (t) => {
  t.equal(await auditedFrom(t, 'off', {}), PROXY)
  t.equal(await auditedFrom(t, 'off', via('203.0.113.9')), PROXY)
  t.equal(await auditedFrom(t, 'off', { forwarded: 'for=203.0.113.9' }), PROXY)
  t.equal(await auditedFrom(t, 'off', { 'x-real-ip': '203.0.113.9', 'client-ip': '203.0.113.9' }), PROXY)
})

t.test('an IPv4 address is written as IPv4, also if the server listens for both versions', async (t) => {
  t.equal(await auditedFrom(t, 'off', {}, '::ffff:192.0.2.7'), '192.0.2.7')
  t.equal(await auditedFrom(t, 'on', via('::ffff:203.0.113.9')), '203.0.113.9')
  t.equal(
    await auditedFrom(t, '10.0.0.0/8', via('[::FFFF:cb00:7109]:4711'), `::ffff:${PROXY}`),
    '203.0.113.9',
  )
})

t.test('with TRUST_PROXY the audit trail records the client address behind the proxy', async (t) => {
  t.equal(await auditedFrom(t, 'on', via('203.0.113.9')), '203.0.113.9')
  t.equal(
    await auditedFrom(t, 'on', via('6.6.6.6, 203.0.113.9')),
    '203.0.113.9',
    'the one proxy that connects saw this address; the client wrote the others',
  )
  t.equal(await auditedFrom(t, '1', via('203.0.113.9')), '203.0.113.9')
  t.equal(
    await auditedFrom(t, '1', via('6.6.6.6, 203.0.113.9')),
    '203.0.113.9',
    'the last hop saw this address',
  )
  t.equal(await auditedFrom(t, '2', via('6.6.6.6, 203.0.113.9, 10.0.0.2')), '203.0.113.9')
  t.equal(await auditedFrom(t, '10.0.0.0/8', via('6.6.6.6, 203.0.113.9, 10.0.0.2')), '203.0.113.9')
  t.equal(
    await auditedFrom(t, '10.0.0.0/8', via('203.0.113.9'), '192.0.2.7'),
    '192.0.2.7',
    'not a trusted proxy',
  )
  t.equal(await auditedFrom(t, '1', via('2001:db8::1')), '2001:db8::1')
})

t.test(
  'addresses that a client writes into X-Forwarded-For do not give it additional guesses (RFC 6749 §2.3.1; docs/security.md B19)',
  async (t) => {
    for (const trust of ['on', '1', '10.0.0.0/8']) {
      const server = await testServer({ settings: { TRUST_PROXY: trust } })
      t.teardown(() => server.close())
      await seed(server.store)
      const statuses: number[] = []
      for (let i = 0; i < LIMITS.pair.burst + 3; i += 1) {
        const headers = {
          ...via(`198.51.100.${i}, 203.0.113.9`),
          authorization: basic('app'),
          'content-type': FORM,
        }
        const payload = 'grant_type=password&username=alice&password=wrong'
        const options = {
          method: 'POST',
          url: '/oauth2/token',
          remoteAddress: PROXY,
          headers,
          payload,
        } as const
        statuses.push((await server.inject(options)).statusCode)
      }
      t.same(statuses.filter((status) => status === 400).length, LIMITS.pair.burst, trust)
      t.same(new Set(server.logger.audits().flatMap(({ ip }) => ip ?? [])), new Set(['203.0.113.9']))
    }
  },
)

t.test('a forwarded address with a port is accepted', async (t) => {
  t.equal(await auditedFrom(t, '1', via('203.0.113.9:4711')), '203.0.113.9')
  t.equal(await auditedFrom(t, '1', via('[2001:db8::1]:4711')), '2001:db8::1')
  t.equal(await auditedFrom(t, '1', via('[2001:db8::1]')), '2001:db8::1')
})

t.test('an invalid forwarded address is ignored and the peer’s address is used', async (t) => {
  const garbage = [
    'a',
    '',
    ',',
    ', ,',
    'unknown',
    '_hidden',
    '999.1.1.1',
    '1.2.3',
    '203.0.113.9/8',
    'fe80::1%a secret or a novel',
    '" onload=',
    '{"ip":"1.1.1.1"}',
    'x'.repeat(5000),
    '203.0.113.9:99999999',
    `${'1.1.1.1,'.repeat(500)}a`,
  ]
  for (const value of garbage) {
    t.equal(await auditedFrom(t, '1', via(value)), PROXY, value.slice(0, 40))
  }
})
