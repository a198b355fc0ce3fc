import t from 'tap'
import { protocolEndpoints } from '../../src/http/routes.ts'
import { METHOD_NAMES } from '../../src/oauth/client-auth/index.ts'
import { hashGeneratedSecret } from '../../src/oauth/client-auth/secret.ts'
import { authorizeParams, codeClient } from '../support/browser/sign-in.ts'
import { selfSigned } from '../support/certificates.ts'
import { writesNothing } from '../support/server/database-dump.ts'
import { seedEndpoints } from '../support/server/endpoints.ts'
import { refused } from '../support/server/error-responses.ts'
import { asserting, assertion } from '../support/server/jws.ts'
import { countQueries } from '../support/server/query-count.ts'
import { basic, type Form, login, post, refresh } from '../support/server/requests.ts'
import { client, SECRET } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

// A proxy passes certificates on.
const server = await testServer({ settings: { TRUST_PROXY: 'loopback' } })
const { key } = await seedEndpoints(server)
const certificate = await selfSigned({ dns: ['shop.example'] })
const presented = { 'client-cert': `:${certificate.base64}:` }
const tlsSubject = { kind: 'san_dns', value: 'shop.example' } as const
/** A key without a certificate, and a certificate. */
const jwks = { keys: [key.jwk, { ...certificate.jwk, kid: 'certificate' }] }
for (const one of [
  client({ id: 'tls', authMethod: 'tls_client_auth', tlsSubject }),
  client({ id: 'self-signed', authMethod: 'self_signed_tls_client_auth', jwks }),
])
  await server.store.clients.insert(one)
await server.poll()
const queries = countQueries(server.store)
t.teardown(() => server.close())

const ENDPOINTS = ['/oauth2/token', '/oauth2/revoke', '/oauth2/introspect']
/** The methods whose requests have no other credentials than the client id (RFC 8705 §2). */
const ALONE = ['tls_client_auth', 'self_signed_tls_client_auth', 'none']
const SECRET_METHODS = ['client_secret_basic', 'client_secret_post']
/** The minimal form with which each endpoint gets past authentication. */
const FORM: Form = { grant_type: 'client_credentials', token: 'unknown' }

const freshAssertion = (id = 'signer') =>
  asserting(assertion({ client: id, key, audience: ISSUER, now: server.clock.now() }))

/** The valid credentials of each method for its own client. */
const RIGHT: Record<string, () => { form: Form; headers: Record<string, string> }> = {
  client_secret_basic: () => ({ form: {}, headers: { authorization: basic('machine') } }),
  client_secret_post: () => ({ form: { client_id: 'poster', client_secret: SECRET }, headers: {} }),
  private_key_jwt: () => ({ form: freshAssertion(), headers: {} }),
  tls_client_auth: () => ({ form: { client_id: 'tls' }, headers: presented }),
  self_signed_tls_client_auth: () => ({ form: { client_id: 'self-signed' }, headers: presented }),
  none: () => ({ form: { client_id: 'phone' }, headers: {} }),
}

t.test(
  'each authentication method authenticates its own client at every endpoint (RFC 6749 §2.3; docs/security.md B15)',
  async (t) => {
    t.same(Object.keys(RIGHT).sort(), [...METHOD_NAMES].sort(), 'all methods are tested')
    for (const [method, carry] of Object.entries(RIGHT)) {
      for (const url of ENDPOINTS) {
        const { form, headers } = carry()
        const answer = await post(server, url, { ...FORM, ...form }, headers)
        const label = `${method} at ${url}`
        if (method !== 'none') t.equal(answer.statusCode, 200, label)
        // A public client has no client credentials (docs/security.md E61), and may not introspect (RFC 7662 §4).
        else if (url === '/oauth2/token') refused(t, answer, { error: 'unauthorized_client' }, label)
        else if (url === '/oauth2/introspect')
          refused(t, answer, { status: 401, error: 'invalid_client' }, label)
        else t.equal(answer.statusCode, 200, label)
      }
    }
  },
)

t.test(
  'wrong credentials get 401 invalid_client with a Basic challenge (RFC 6749 §5.2; docs/security.md A10)',
  async (t) => {
    await writesNothing(
      t,
      server,
      async () => {
        for (const url of ENDPOINTS) {
          for (const [id, secret] of [
            ['machine', 'wrong'],
            ['machine', ''],
            ['machine', `${SECRET} `],
            ['machine', SECRET.toLowerCase()],
            ['nobody', SECRET],
          ] as const) {
            const answer = await post(server, url, FORM, { authorization: basic(id, secret) })
            refused(t, answer, { status: 401, error: 'invalid_client' }, `${id} at ${url}`)
            t.match(answer.headers['www-authenticate'], /^Basic realm="[^"]+"/, 'the scheme is named')
          }
          for (const [id, secret] of [
            ['poster', 'wrong'],
            ['nobody', SECRET],
          ] as const) {
            const answer = await post(server, url, { ...FORM, client_id: id, client_secret: secret })
            refused(t, answer, { status: 401, error: 'invalid_client' }, `${id} at ${url}`)
            t.match(answer.headers['www-authenticate'], /^Basic realm="[^"]+"/, 'RFC 9110 §15.5.2')
          }
        }
      },
      ['rate_limits'],
    )
  },
)

t.test(
  'every 401 of every protocol endpoint has a challenge, and none makes a browser ask its user for a password (RFC 9110 §15.5.2)',
  async (t) => {
    const secret = { client_id: 'poster', client_secret: 'wrong' }
    for (const { path, needsToken } of protocolEndpoints) {
      let refusals = 0
      for (const [label, form, headers] of [
        ['nothing', {}, {}],
        ['an unknown public client', { client_id: 'nobody' }, {}],
        ['a wrong secret in the form', secret, {}],
        ['an assertion that is none', { ...asserting('x'), client_id: 'signer' }, {}],
        ['Basic', {}, { authorization: basic('machine', 'wrong') }],
        ['Basic that is malformed', {}, { authorization: 'Basic %' }],
        ['another scheme', {}, { authorization: 'Bearer x' }],
      ] as const) {
        for (const browser of [{}, { 'sec-fetch-site': 'same-origin', origin: ISSUER }]) {
          const answer = await post(server, path, { ...FORM, ...form }, { ...headers, ...browser })
          if (answer.statusCode === 400) continue
          const context = `${label} at ${path}`
          t.equal(answer.statusCode, 401, context)
          refusals += 1
          const challenge = String(answer.headers['www-authenticate'])
          const usesHeader = 'authorization' in headers
          const scheme = needsToken ? 'Bearer' : usesHeader || !('origin' in browser) ? 'Basic' : 'Form'
          t.match(challenge, new RegExp(`^${scheme} realm="keyturn"`), context)
        }
      }
      t.ok(refusals > 4, `${refusals} refusals at ${path}`)
      // Wrong secrets are limited by time.
      server.clock.tick(600)
    }
  },
)

t.test(
  'an unknown client and a wrong secret get identical responses (RFC 6749 §5.2; docs/security.md A10)',
  async (t) => {
    const answers = await Promise.all(
      ['machine', 'nobody'].map((id) =>
        post(server, '/oauth2/token', FORM, { authorization: basic(id, 'x') }),
      ),
    )
    const seen = answers.map(({ statusCode, body, headers: { date, ...headers } }) => ({
      statusCode,
      body,
      headers,
    }))
    t.same(seen[0], seen[1])
  },
)

t.test(
  'an unknown client and a wrong secret cause the same store queries and so take the same time (RFC 6749 §5.2; docs/security.md A10)',
  async (t) => {
    const cost = async (id: string) => {
      const before = queries.count()
      await post(server, '/oauth2/token', FORM, { authorization: basic(id, 'wrong') })
      return queries.count() - before
    }
    const [known, unknown] = [await cost('machine'), await cost('nobody')]
    t.ok(known > 0)
    t.equal(unknown, known)
  },
)

t.test('a request without client authentication is invalid_client (RFC 6749 §5.2)', async (t) => {
  for (const url of ENDPOINTS) {
    refused(t, await post(server, url, FORM), { status: 401, error: 'invalid_client' }, url)
  }
})

t.test(
  'a secret is accepted in the header and in the body at every endpoint, whichever is registered (RFC 6749 §2.3.1; docs/security.md B15)',
  async (t) => {
    for (const authMethod of SECRET_METHODS) {
      const id = `code ${authMethod}`
      const grants = ['client_credentials', 'authorization_code']
      await server.store.clients.insert(
        codeClient({ id, authMethod, grants, scopes: ['openid', 'orders:read'] }),
      )
      for (const [url, form, status] of [
        ...ENDPOINTS.map((url) => [url, FORM, 200] as const),
        ['/oauth2/par', Object.fromEntries(authorizeParams({ client_id: id })), 201] as const,
      ]) {
        const header = await post(server, url, form, { authorization: basic(id) })
        t.equal(header.statusCode, status, `${authMethod}: in the header at ${url}`)
        const body = { ...form, client_id: id, client_secret: SECRET }
        t.equal((await post(server, url, body)).statusCode, status, `${authMethod}: in the body at ${url}`)
        const both = await post(server, url, body, { authorization: basic(id) })
        refused(t, both, { error: 'invalid_request' }, `${authMethod}: in both at ${url}`)
        const wrong = await post(server, url, { ...body, client_secret: 'wrong' })
        refused(t, wrong, { status: 401, error: 'invalid_client' }, `${authMethod}: wrong at ${url}`)
      }
    }
  },
)

/** All pairs of methods, both valid, for clients of the same name where possible. */
t.test(
  'two authentication methods in one request are invalid_request, valid or not (RFC 6749 §2.3; docs/security.md B17)',
  async (t) => {
    const carried = {
      basic: [
        { form: {}, headers: { authorization: basic('machine') } },
        { form: {}, headers: { authorization: 'Basic' } },
        { form: {}, headers: { authorization: 'Bearer x' } },
      ],
      post: [
        { form: { client_id: 'machine', client_secret: SECRET }, headers: {} },
        { form: { client_secret: SECRET }, headers: {} },
        { form: { client_secret: 'wrong' }, headers: {} },
      ],
      assertion: [
        { form: freshAssertion('machine'), headers: {} },
        { form: asserting('garbage'), headers: {} },
        { form: { client_assertion: 'x' }, headers: {} },
        { form: { client_assertion_type: 'x' }, headers: {} },
      ],
    }
    await writesNothing(t, server, async () => {
      for (const [first, second] of [
        ['basic', 'post'],
        ['basic', 'assertion'],
        ['post', 'assertion'],
      ] as const) {
        for (const a of carried[first]) {
          for (const b of carried[second]) {
            for (const url of ENDPOINTS) {
              const form = { ...FORM, ...a.form, ...b.form }
              const answer = await post(server, url, form, { ...a.headers, ...b.headers })
              refused(t, answer, { error: 'invalid_request' }, `${first} and ${second} at ${url}`)
            }
          }
        }
      }
    })
  },
)

t.test(
  'a client_id in the body must be that of the authenticated client (RFC 6749 §2.3, §5.2; docs/security.md B17)',
  async (t) => {
    for (const url of ENDPOINTS) {
      const headers = { authorization: basic('machine') }
      t.equal((await post(server, url, { ...FORM, client_id: 'machine' }, headers)).statusCode, 200)
      for (const id of ['poster', 'Machine', 'machine ', 'nobody']) {
        const answer = await post(server, url, { ...FORM, client_id: id }, headers)
        refused(t, answer, { error: 'invalid_request' }, `Basic and ${id}`)
        const asserted = await post(server, url, { ...FORM, client_id: id, ...freshAssertion() })
        refused(t, asserted, { error: 'invalid_request' }, `assertion and ${id}`)
      }
    }
  },
)

t.test(
  'a client can authenticate only by its registered method, and with its secret in the header or in the body (RFC 6749 §2.3.1, RFC 7591 §2; docs/security.md B18, P32)',
  async (t) => {
    // Every client has the credentials of every method, so that only the registered method decides.
    for (const registered of METHOD_NAMES) {
      await server.store.clients.insert(
        client({
          id: `as ${registered}`,
          authMethod: registered,
          secretHash: hashGeneratedSecret(SECRET),
          jwks,
          grants: ['client_credentials'],
          ...(registered === 'tls_client_auth' ? { tlsSubject } : {}),
        }),
      )
    }
    for (const registered of METHOD_NAMES) {
      const id = `as ${registered}`
      const carried: Record<string, { form: Form; headers: Record<string, string> }> = {
        client_secret_basic: { form: {}, headers: { authorization: basic(id) } },
        client_secret_post: { form: { client_id: id, client_secret: SECRET }, headers: {} },
        private_key_jwt: { form: freshAssertion(id), headers: {} },
        tls_client_auth: { form: { client_id: id }, headers: presented },
        self_signed_tls_client_auth: { form: { client_id: id }, headers: presented },
        none: { form: { client_id: id }, headers: {} },
      }
      for (const used of METHOD_NAMES) {
        const { form, headers } = carried[used] ?? { form: {}, headers: {} }
        const label = `registered ${registered}, used ${used}`
        const answer = await post(server, '/oauth2/revoke', { token: 'x', ...form }, headers)
        const bothUseSecret = SECRET_METHODS.includes(registered) && SECRET_METHODS.includes(used)
        // All of these requests have the id and a certificate. A public client may present one, for its tokens.
        const [isAlone, wasAlone] = [ALONE.includes(registered), ALONE.includes(used)]
        const looksAlike = isAlone && wasAlone && (registered === 'none' || used !== 'none')
        if (used === registered || bothUseSecret || looksAlike) t.equal(answer.statusCode, 200, label)
        else refused(t, answer, { status: 401, error: 'invalid_client' }, label)
      }
    }
    // CVE-2026-16093: an unsigned header beside a secret.
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`
    const form = {
      token: 'x',
      client_id: 'as private_key_jwt',
      client_secret: SECRET,
      ...asserting(unsigned),
    }
    refused(t, await post(server, '/oauth2/revoke', form), { error: 'invalid_request' })
  },
)

t.test('a public client must send its client_id (RFC 6749 §3.2.1; docs/security.md B20)', async (t) => {
  const { refresh_token: token } = (await login(server, {}, 'phone')).json()
  const unnamed = await post(server, '/oauth2/token', { grant_type: 'refresh_token', refresh_token: token })
  refused(t, unnamed, { status: 401, error: 'invalid_client' })
  t.equal((await refresh(server, token, {}, 'phone')).statusCode, 200, 'its name alone identifies it')
  const withSecret = { ...FORM, client_id: 'phone', client_secret: 'x' }
  refused(t, await post(server, '/oauth2/token', withSecret), { status: 401, error: 'invalid_client' })
  const withBasic = await post(server, '/oauth2/token', FORM, { authorization: basic('phone', '') })
  refused(t, withBasic, { status: 401, error: 'invalid_client' }, 'Basic without a password')
})
