/** Tokens that the server has bound to a key, at a service that checks them with `@keyturn/verify`. */
import t from 'tap'
import { createVerifier } from '../../packages/verify/index.ts'
import { proof } from '../support/dpop/proofs.ts'
import { dpopSender } from '../support/dpop/sender.ts'
import { type ClientKey, clientKey } from '../support/server/jws.ts'
import { login } from '../support/server/requests.ts'
import { ORDERS, seed } from '../support/server/seed.ts'
import { ISSUER, testServer } from '../support/server/server.ts'

const server = await testServer()
t.teardown(() => server.close())
await seed(server.store)

const verifier = createVerifier({
  issuer: ISSUER,
  audience: ORDERS,
  clock: () => server.clock.now(),
  fetch: async (url) => {
    const { body, statusCode } = await server.inject({ url: new URL(String(url)).pathname })
    return new Response(body, { status: statusCode })
  },
})
t.teardown(() => verifier.close())

const url = 'https://orders.test/orders'
const made = (key: ClientKey, accessToken: string) =>
  proof({ key, method: 'GET', url, now: server.clock.now(), accessToken })

t.test(
  'a bound token is accepted with a proof of its key, and with nothing else (RFC 9449 §7)',
  async (t) => {
    for (const alg of ['ES256', 'PS256', 'EdDSA'] as const) {
      const sender = dpopSender(server, clientKey(alg))
      const token = (await sender.login('app', {}, { scope: 'orders:read' })).json().access_token as string
      const text = made(sender.key, token)
      const claims = await verifier.verify(token, { proof: text, method: 'GET', url })
      t.match(claims, { client_id: 'app', cnf: { jkt: sender.jkt } }, alg)
      await t.rejects(verifier.verify(token, { proof: text, method: 'GET', url }), 'the same proof again')
      await t.rejects(verifier.verify(token), 'no proof')
      const stolen = { proof: made(clientKey(alg), token), method: 'GET', url }
      await t.rejects(verifier.verify(token, stolen), 'another key')
    }
    const plain = (await login(server, { scope: 'orders:read' })).json().access_token as string
    t.match(await verifier.verify(plain), { client_id: 'app' }, 'a bearer token is what it was')
  },
)
