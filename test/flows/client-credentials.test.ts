import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { clientCredentials } from '../support/server/requests.ts'
import { ORDERS, seed } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

t.test('a machine client gets a token that verifies with the JWKS alone', async (t) => {
  const server = await testServer()
  t.teardown(() => server.close())
  await seed(server.store)

  const answer = await clientCredentials(server)
  t.equal(answer.statusCode, 200, answer.body)
  t.equal(answer.headers['cache-control'], 'no-store')
  const { access_token: token, ...rest } = answer.json()
  t.same(rest, { token_type: 'Bearer', expires_in: 600, scope: 'orders:read orders:write' })

  const jwks = await server.inject({ url: '/.well-known/jwks.json' })
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks.json()), {
    issuer: ISSUER,
    audience: ORDERS,
    typ: 'at+jwt',
  })
  t.equal(protectedHeader.alg, 'RS256')
  t.equal(payload.sub, 'machine')
})
