/** The table of wrong DPoP proofs, at every endpoint that takes one (RFC 9449 §4.3; docs/security.md L128). */
import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { freshCode, seedUsers } from '../support/browser/sign-in.ts'
import { rightProofs, wrongProofs, wrongTokenHashes } from '../support/dpop/proofs.ts'
import { dpopSender, type Sending } from '../support/dpop/sender.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { overHttp } from '../support/server/http-inject.ts'
import { listen } from '../support/server/listen.ts'
import { client } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

const { server, issuer } = await listen(t)
await seedUsers(server.store)
await server.store.clients.insert(client({ id: 'robot', scopes: ['admin:read'] }))
await server.store.clients.insert(
  client({ id: 'portal', grants: ['password'], scopes: ['openid', 'orders:read'] }),
)
await server.poll()
// Over HTTP, because only there can a header field be sent twice.
const sender = dpopSender({ ...overHttp(issuer), clock: server.clock })

const json = (answer: LightMyRequestResponse) => {
  if (answer.statusCode >= 300) throw new Error(`${answer.statusCode} ${answer.body}`)
  return answer.json()
}

type Send = (sending: Sending) => Promise<LightMyRequestResponse>

/** Each is prepared so that only its proof decides; what can be used once is not used up by a refusal. */
const TOKEN_ENDPOINTS: Record<string, () => Promise<Send>> = {
  client_credentials: async () => (sending) => sender.machine(sending),
  password: async () => (sending) => sender.login('app', sending),
  async refresh_token() {
    const { refresh_token } = json(await sender.login('phone'))
    return (sending) => sender.refresh(refresh_token, 'phone', sending)
  },
  async authorization_code() {
    const code = await freshCode(server, { client_id: 'spa' })
    return (sending) => sender.redeem(code, 'spa', 'https://spa.test/', sending)
  },
  'a pushed request': async () => (sending) =>
    sender.send('/oauth2/par', {
      as: 'web',
      form: {
        response_type: 'code',
        scope: 'openid orders:read',
        redirect_uri: 'https://app.test/callback',
        code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
        code_challenge_method: 'S256',
      },
      ...sending,
    }),
}

const RESOURCES: Record<string, () => Promise<Send>> = {
  async userinfo() {
    const { access_token } = json(await sender.login('portal', {}, { scope: 'openid' }))
    return (sending) => sender.userinfo(access_token, sending)
  },
  async 'userinfo by POST'() {
    const { access_token } = json(await sender.login('portal', {}, { scope: 'openid' }))
    return (sending) => sender.userinfo(access_token, { method: 'POST', ...sending })
  },
  async 'the administration'() {
    const { access_token } = json(await sender.token({ grant_type: 'client_credentials' }, 'robot'))
    return (sending) =>
      sender.send('/admin/v1/roles', { method: 'GET', accessToken: access_token, ...sending })
  },
}

const lastDetail = () =>
  server.logger.audited.filter(({ audit }) => audit.endsWith('.refused')).at(-1)?.detail

for (const [name, prepare] of Object.entries(TOKEN_ENDPOINTS)) {
  t.test(
    `${name}: each wrong proof is invalid_dpop_proof, and uses nothing up (RFC 9449 §4.3; docs/security.md L128)`,
    async (t) => {
      const send = await prepare()
      await writesNothing(t, server, async () => {
        for (const [label, { problem, fields }] of Object.entries(wrongProofs)) {
          const answer = await send({ make: fields })
          t.same(
            [answer.statusCode, answer.json().error, lastDetail()],
            [400, 'invalid_dpop_proof', `dpop_${problem}`],
            label,
          )
          t.equal(answer.headers['dpop-nonce'], undefined)
        }
      })
      t.ok((await send({})).statusCode < 300, 'what the request presents is still good')
    },
  )
}

for (const [name, prepare] of Object.entries(RESOURCES)) {
  t.test(
    `${name}: each wrong proof is 401 invalid_dpop_proof with a challenge (RFC 9449 §7.1; docs/security.md L128)`,
    async (t) => {
      const send = await prepare()
      await writesNothing(t, server, async () => {
        for (const [label, { problem, fields }] of Object.entries({ ...wrongProofs, ...wrongTokenHashes })) {
          const answer = await send({ make: fields })
          t.same([answer.statusCode, lastDetail()], [401, `dpop_${problem}`], label)
          t.match(
            answer.headers['www-authenticate'],
            /^DPoP error="invalid_dpop_proof", error_description="[^"]+", algs="ES256 PS256 EdDSA Ed25519"$/,
          )
        }
      })
      t.equal((await send({})).statusCode, 200)
    },
  )
}

t.test('unusual proofs that are right are accepted at every endpoint (RFC 9449 §4.2, §4.3)', async (t) => {
  const send: Record<string, Send> = {
    token: (sending) => sender.machine(sending),
    userinfo: (await RESOURCES.userinfo?.()) as Send,
    administration: (await RESOURCES['the administration']?.()) as Send,
  }
  for (const [label, make] of Object.entries(rightProofs)) {
    for (const [name, at] of Object.entries(send))
      t.equal((await at({ make: (request) => [make(request)] })).statusCode, 200, `${label}: ${name}`)
  }
})

t.test(
  'htu is compared with the URL below the issuer, never with Host or X-Forwarded-* (RFC 9449 §4.3)',
  async (t) => {
    const behindProxy = await testServer({ settings: { ISSUER: `${ISSUER}/tenant`, TRUST_PROXY: 'on' } })
    t.teardown(() => behindProxy.close())
    await seedUsers(behindProxy.store)
    await behindProxy.store.clients.insert(client({ id: 'robot', scopes: ['admin:read'] }))
    const at = dpopSender(behindProxy)
    const lies = {
      host: 'evil.test',
      'x-forwarded-host': 'evil.test',
      'x-forwarded-proto': 'http',
      'x-forwarded-prefix': '/x',
      forwarded: 'host=evil.test;proto=http',
    }
    const admin = json(
      await at.token({ grant_type: 'client_credentials' }, 'robot', { headers: lies }),
    ).access_token
    const list = (more: Sending = {}) =>
      at.send('/admin/v1/roles', { method: 'GET', accessToken: admin, headers: lies, ...more })
    t.equal((await list()).statusCode, 200)
    for (const htu of [
      'https://evil.test/tenant/oauth2/token',
      'http://issuer.test/tenant/oauth2/token',
      `${ISSUER}/oauth2/token`,
    ]) {
      const answer = await at.machine({ headers: lies, change: { claims: { htu } } })
      t.same([answer.statusCode, answer.json().error], [400, 'invalid_dpop_proof'], htu)
    }
    const other = await list({ change: { claims: { htu: `${ISSUER}/tenant/admin/v1/users` } } })
    t.equal(other.statusCode, 401, 'the proof for another resource')
  },
)
