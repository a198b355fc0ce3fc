/**
 * Bound tokens from Keyturn to an API with @keyturn/verify, on real TLS connections: the client that got a token may use it, and a thief of
 * the token may not (RFC 9449, RFC 8705).
 */
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { keyturnFastify } from '../../packages/verify/fastify-typed.ts'
import { createVerifier } from '../../packages/verify/index.ts'
import type { TestCertificate } from '../support/certificates.ts'
import { type ProofRequest, proof, thumbprintOf } from '../support/dpop/proofs.ts'
import { type ClientKey, clientKey } from '../support/server/jws.ts'
import { claimsOf } from '../support/server/requests.ts'
import { client, ORDERS, seed } from '../support/server/seed.ts'
import { type TlsServer, tlsServer } from '../support/server/tls.ts'

const SHOP = 'spiffe://example.org/shop'

async function start(t: Test) {
  const tls = await tlsServer(t)
  const { server, authority } = tls
  await seed(server.store)
  const tlsSubject = { kind: 'san_uri', value: SHOP } as const
  await server.store.clients.insert(client({ id: 'shop', authMethod: 'tls_client_auth', tlsSubject }))
  await server.poll()
  return { tls, own: await authority.issue({ uri: [SHOP] }), api: await ordersApi(t, tls) }
}

/** An API that accepts only bound tokens; returns its URL. */
async function ordersApi(t: Test, { issuer, authority, server, fetch }: TlsServer): Promise<string> {
  const verifier = createVerifier({
    issuer,
    audience: ORDERS,
    requireBound: true,
    fetch: fetch(),
    clock: () => server.clock.now(),
  })
  const { cert, key } = await authority.issue({ dns: ['localhost'] })
  const app = Fastify({ https: { cert, key, requestCert: true, rejectUnauthorized: false } })
  await app.register(keyturnFastify, { verifier })
  app.get('/orders', { onRequest: app.requireScope('orders:read') }, async () => ({}))
  t.teardown(() => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  return `https://localhost:${(app.server.address() as AddressInfo).port}/orders`
}

t.test(
  'a stolen token is useless at an API without the key and the certificate that it is bound to',
  async (t) => {
    const { tls, own, api } = await start(t as Test)
    const { server, authority } = tls
    const thief = await authority.issue({ uri: ['spiffe://example.org/thief'] })
    const key = clientKey()
    const now = () => server.clock.now()
    const proofFor = (request: Omit<ProofRequest, 'key' | 'now'>, by: ClientKey = key) =>
      proof({ key: by, now: now(), ...request })

    async function token(bound: boolean): Promise<string> {
      const dpop = bound ? { dpop: proofFor({ method: 'POST', url: `${tls.mtls}/oauth2/token` }) } : {}
      const body = new URLSearchParams({
        client_id: 'shop',
        grant_type: 'client_credentials',
        scope: 'orders:read',
      })
      const response = await tls.fetch(own)(`${tls.mtls}/oauth2/token`, {
        method: 'POST',
        headers: dpop,
        body,
      })
      t.equal(response.status, 200)
      return ((await response.json()) as { access_token: string }).access_token
    }
    const status = async (headers: Record<string, string>, certificate?: TestCertificate) =>
      (await tls.fetch(certificate)(api, { headers })).status
    const dpop = (accessToken: string, by?: ClientKey) => ({
      authorization: `DPoP ${accessToken}`,
      dpop: proofFor({ method: 'GET', url: api, accessToken }, by),
    })

    const byCertificate = await token(false)
    t.same(claimsOf(byCertificate).cnf, { 'x5t#S256': own.thumbprint })
    const bearer = { authorization: `Bearer ${byCertificate}` }
    t.equal(await status(bearer, own), 200)
    t.equal(await status(bearer), 401, 'no certificate')
    t.equal(await status(bearer, thief), 401, 'another certificate of the same authority')
    t.equal(await status(dpop(byCertificate), own), 401, 'a proof that the token does not ask for')

    const byBoth = await token(true)
    t.same(claimsOf(byBoth).cnf, { jkt: thumbprintOf(key), 'x5t#S256': own.thumbprint })
    t.equal(await status(dpop(byBoth), own), 200)
    t.equal(await status(dpop(byBoth)), 401, 'the proof alone')
    t.equal(await status(dpop(byBoth), thief), 401, 'the proof with another certificate')
    t.equal(await status({ authorization: `Bearer ${byBoth}` }, own), 401, 'the certificate alone')
    t.equal(await status(dpop(byBoth, clientKey()), own), 401, 'the proof of another key')
    const used = dpop(byBoth)
    t.equal(await status(used, own), 200)
    t.equal(await status(used, own), 401, 'a proof that was used')
  },
)
