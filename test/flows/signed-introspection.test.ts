/** Introspection responses as signed JWTs (RFC 9701). */
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { refused } from '../support/server/error-responses.ts'
import { basic, post } from '../support/server/requests.ts'
import { client, ORDERS, seed } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'
import { introspect, revoke, signedIn } from '../support/server/tokens.ts'

const server = await testServer({ settings: { ALGORITHMS: 'RS256 ES256' } })
t.teardown(() => server.close())
const { store, clock } = server
await seed(store)
const reader = client({ id: 'orders', introspects: [ORDERS], grants: [] })
await store.clients.insert(reader)
await store.clients.insert({
  ...reader,
  id: 'chosen',
  introspectionSignedResponseAlg: 'ES256',
  secrets: client({ id: 'chosen' }).secrets,
})

const JWT = 'application/token-introspection+jwt'

const ask = (token: string, accept: string, as = 'orders') =>
  post(server, '/oauth2/introspect', { token }, { authorization: basic(as), accept })

/** The claims of a signed response, verified as a resource server does (RFC 9701 §5). */
async function verified(
  t: Test,
  answer: Awaited<ReturnType<typeof ask>>,
  audience = 'orders',
  alg = 'RS256',
) {
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['content-type'], JWT)
  t.equal(answer.headers['cache-control'], 'no-store')
  const { keys } = (await server.inject({ url: '/.well-known/jwks.json' })).json()
  const { payload, protectedHeader } = await jwtVerify(answer.body, createLocalJWKSet({ keys }), {
    issuer: ISSUER,
    audience,
    typ: 'token-introspection+jwt',
    currentDate: new Date(clock.now() * 1000),
  })
  t.equal(protectedHeader.alg, alg)
  return payload
}

t.test(
  'the response is a JWT for the caller, with the plain response as a claim (RFC 9701 §5)',
  async (t) => {
    const { access_token: token } = await signedIn(server)
    const plain = (await introspect(server, token, 'orders')).json()
    t.match(plain, { active: true })
    const claims = await verified(t as Test, await ask(token, JWT))
    t.same(claims, { iss: ISSUER, aud: 'orders', iat: clock.now(), token_introspection: plain })
  },
)

t.test('an inactive token says nothing else, signed too (RFC 9701 §5, RFC 7662 §2.2)', async (t) => {
  const { access_token: token } = await signedIn(server)
  await revoke(server, token)
  for (const inactive of [token, 'garbage']) {
    const claims = await verified(t as Test, await ask(inactive, JWT))
    t.same(claims.token_introspection, { active: false })
  }
})

t.test('a resource server chooses the algorithm (RFC 9701 §6)', async (t) => {
  const { access_token: token } = await signedIn(server)
  await verified(t as Test, await ask(token, JWT, 'chosen'), 'chosen', 'ES256')
})

t.test('only a caller that prefers it gets a JWT (RFC 9110 §12.5.1)', async (t) => {
  const { access_token: token } = await signedIn(server)
  const signed = [JWT, `${JWT}, application/json;q=0.9`, `application/json;q=0.1, ${JWT}`, JWT.toUpperCase()]
  const plain = [
    '*/*',
    'application/*',
    'application/json',
    `${JWT};q=0`,
    `${JWT};q=0.5, */*`,
    'text/html',
    '',
  ]
  for (const accept of signed) t.equal((await ask(token, accept)).headers['content-type'], JWT, accept)
  for (const accept of plain) {
    const answer = await ask(token, accept)
    t.match(answer.headers['content-type'], /^application\/json/, accept)
    t.match(answer.json(), { active: true }, accept)
  }
})

t.test('errors are JSON as before (RFC 9701 §5, RFC 7662 §2.3)', async (t) => {
  const unknown = post(server, '/oauth2/introspect', { token: 'x' }, { accept: JWT })
  refused(t, await unknown, { status: 401, error: 'invalid_client' })
  const none = post(server, '/oauth2/introspect', {}, { authorization: basic('orders'), accept: JWT })
  refused(t, await none, { error: 'invalid_request' })
})

t.test('a signed response is no access token and no ID token (RFC 9701 §8.1)', async (t) => {
  const { access_token: token } = await signedIn(server)
  const response = (await ask(token, JWT)).body
  t.equal(decodeProtectedHeader(response).typ, 'token-introspection+jwt')
  const headers = { authorization: `Bearer ${response}` }
  t.equal((await server.inject({ url: '/oauth2/userinfo', headers })).statusCode, 401)
  t.same((await introspect(server, response, 'orders')).json(), { active: false })
})

t.test('the metadata says how responses are signed (RFC 9701 §7)', async (t) => {
  const metadata = (await server.inject({ url: '/.well-known/oauth-authorization-server' })).json()
  t.ok(metadata.introspection_signing_alg_values_supported.includes('RS256'))
})
