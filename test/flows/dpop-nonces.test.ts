/** Nonces of the server in DPoP proofs (RFC 9449 §8, §9; docs/security.md L129). */
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { createMacs } from '../../src/keys/macs.ts'
import { createDpopNonces } from '../../src/oauth/dpop/nonces.ts'
import { seedUsers } from '../support/browser/sign-in.ts'
import { dpopSender, type Sending } from '../support/dpop/sender.ts'
import { testClock } from '../support/server/clock.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { refused } from '../support/server/error-responses.ts'
import { dataKeysOf } from '../support/server/keys.ts'
import { client } from '../support/server/seed.ts'
import { type TestServerOptions, testServer } from '../support/server/server.ts'

async function world(
  t: { teardown(end: () => unknown): void },
  options: TestServerOptions = {},
  fresh = true,
) {
  const server = await testServer(options)
  t.teardown(() => server.close())
  if (fresh) {
    await seedUsers(server.store)
    await server.store.clients.insert(client({ id: 'robot', scopes: ['admin:read'] }))
    await server.store.clients.insert(
      client({ id: 'portal', grants: ['password'], scopes: ['openid', 'orders:read'] }),
    )
    await server.poll()
  }
  return { server, sender: dpopSender(server) }
}

const ON = { settings: { DPOP_NONCE: 'on' } }
const nonceOf = ({ headers }: LightMyRequestResponse) => headers['dpop-nonce'] as string | undefined
/** RFC 9449 §8.1. */
const NQCHARS = /^[\x21\x23-\x5B\x5D-\x7E]+$/

t.test(
  'with KEYTURN_DPOP_NONCE=on a proof without a nonce gets one to use (RFC 9449 §8; docs/security.md L129)',
  async (t) => {
    const { server, sender } = await world(t, ON)
    const endpoints: Record<string, (more: Sending) => Promise<LightMyRequestResponse>> = {
      token: (more) => sender.machine(more),
      par: (more) =>
        sender.send('/oauth2/par', {
          as: 'web',
          form: {
            response_type: 'code',
            scope: 'openid',
            redirect_uri: 'https://app.test/callback',
            code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
            code_challenge_method: 'S256',
          },
          ...more,
        }),
    }
    for (const [name, send] of Object.entries(endpoints)) {
      await writesNothing(t, server, async () => {
        const answer = await send({})
        refused(t, answer, { error: 'use_dpop_nonce' }, name)
        t.match(nonceOf(answer), NQCHARS, 'exactly one field')
        t.match(
          server.logger.audited.findLast(({ audit }) => audit.endsWith('.refused')),
          { detail: 'dpop_no_nonce' },
        )
      })
      const nonce = nonceOf(await send({}))
      const retried = await send({ nonce })
      t.ok(retried.statusCode < 300, `${name}: with the nonce`)
      t.match(nonceOf(retried), NQCHARS, 'a success has the next nonce (§8.2)')
      t.equal(retried.headers['cache-control'], 'no-store')
      t.ok((await send({ nonce })).statusCode < 300, 'a nonce may be used again (§11.1)')
    }
  },
)

t.test('a resource asks for a nonce with 401 and a challenge (RFC 9449 §9)', async (t) => {
  const { sender } = await world(t, ON)
  const nonce = nonceOf(await sender.machine())
  const user = (await sender.login('portal', { nonce }, { scope: 'openid' })).json().access_token
  const admin = (await sender.token({ grant_type: 'client_credentials' }, 'robot', { nonce })).json()
    .access_token
  for (const [path, accessToken] of [
    ['/oauth2/userinfo', user],
    ['/admin/v1/roles', admin],
  ]) {
    const ask = (more: Sending = {}) => sender.send(path, { method: 'GET', accessToken, ...more })
    for (const [why, answer] of Object.entries({
      none: await ask(),
      unknown: await ask({ nonce: 'made-up' }),
    })) {
      t.equal(answer.statusCode, 401, `${path}: ${why}`)
      t.match(answer.headers['www-authenticate'], /^DPoP error="use_dpop_nonce", /)
      t.match(nonceOf(answer), NQCHARS)
    }
    const answer = await ask({ nonce: nonceOf(await ask()) })
    t.equal(answer.statusCode, 200, path)
    t.match(nonceOf(answer), NQCHARS)
  }
})

t.test(
  'a nonce that this server did not issue is refused, whatever the setting is (RFC 9449 §8; docs/security.md L129)',
  async (t) => {
    for (const setting of ['on', 'off']) {
      const { server, sender } = await world(t, { settings: { DPOP_NONCE: setting } })
      const { sender: elsewhere } = await world(t, ON)
      const good = nonceOf(await sender.machine({ nonce: 'x' })) ?? ''
      const [period, ...rest] = good.split('.')
      const wrong = {
        'made up': 'nonce',
        'of another server': nonceOf(await elsewhere.machine()),
        'of another period': [Number(period) + 1, ...rest].join('.'),
        'a changed MAC': `${good.slice(0, -1)}${good.endsWith('A') ? 'B' : 'A'}`,
        'no MAC': String(period),
        empty: '',
      }
      await writesNothing(t, server, async () => {
        for (const [label, nonce] of Object.entries(wrong)) {
          const answer = await sender.machine({ nonce })
          refused(t, answer, { error: 'use_dpop_nonce' }, `${setting}: ${label}`)
          t.equal(nonceOf(answer), good)
          t.match(server.logger.audits('token.refused').at(-1), { detail: 'dpop_unknown_nonce' })
        }
      })
      t.equal((await sender.machine({ nonce: good })).statusCode, 200, setting)
    }
  },
)

t.test('without the setting no proof needs a nonce, and a client that has one gets the next', async (t) => {
  const { sender } = await world(t)
  const without = await sender.machine()
  t.same([without.statusCode, nonceOf(without)], [200, undefined])
  const nonce = nonceOf(await sender.machine({ nonce: 'old' }))
  const answer = await sender.machine({ nonce })
  t.same([answer.statusCode, nonceOf(answer)], [200, nonce])
})

t.test(
  'nonces roll: each is good for two to four minutes, and a success supplies the newest (RFC 9449 §8.2)',
  async (t) => {
    const { server, sender } = await world(t, ON)
    server.clock.set(Math.ceil(server.clock.now() / 120) * 120)
    const first = nonceOf(await sender.machine())
    server.clock.tick(119)
    t.equal(nonceOf(await sender.machine({ nonce: first })), first)
    server.clock.tick(1)
    const renewed = await sender.machine({ nonce: first })
    t.equal(renewed.statusCode, 200)
    t.not(nonceOf(renewed), first)
    server.clock.tick(119)
    t.equal((await sender.machine({ nonce: first })).statusCode, 200)
    server.clock.tick(1)
    refused(t, await sender.machine({ nonce: first }), { error: 'use_dpop_nonce' })
    t.equal((await sender.machine({ nonce: nonceOf(renewed) })).statusCode, 200)
  },
)

t.test('a nonce does not replace iat: a proof that is too old is invalid_dpop_proof', async (t) => {
  const { server, sender } = await world(t, ON)
  const nonce = nonceOf(await sender.machine())
  const change = { claims: { iat: server.clock.now() - 3600 } }
  refused(t, await sender.machine({ nonce, change }), { error: 'invalid_dpop_proof' })
})

t.test('every node accepts the nonces of all nodes, also when only one asks for them', async (t) => {
  const shared = {
    database: `${t.testdir()}/keyturn.db`,
    masterKey: Buffer.alloc(32, 6).toString('base64url'),
    clock: testClock(),
  }
  const { sender: one } = await world(t, { ...shared, ...ON })
  const { sender: two } = await world(t, shared, false)
  const nonce = nonceOf(await one.machine())
  t.equal((await two.machine({ nonce })).statusCode, 200)
  t.equal((await one.machine({ nonce: nonceOf(await two.machine({ nonce })) })).statusCode, 200)
})

t.test('nonces cannot be predicted: each data key makes others (RFC 9449 §8)', async (t) => {
  const clock = testClock(1_800_000_000)
  const secrets = [1, 2].map((fill) => Buffer.alloc(32, fill))
  const of = (keys: ReturnType<typeof dataKeysOf>) =>
    createDpopNonces(createMacs(keys, 'keyturn/dpop-nonces/v1'), clock)
  const [old, other] = secrets.map((secret) => of(dataKeysOf(secret)))
  if (!old || !other) throw new Error('two nonces are needed')
  t.not(old.current(), other.current())
  t.notOk(other.isRecent(old.current()))
  const both = of(dataKeysOf(...secrets.toReversed()))
  t.ok(both.isRecent(old.current()), 'after a rotation of the master key the older data key is still valid')
})
