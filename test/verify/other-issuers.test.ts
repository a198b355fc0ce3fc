/** The verifier works with any standard issuer: with oidc-provider, and with Keyturn over a real socket. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK } from 'jose'
import Provider from 'oidc-provider'
import t, { type Test } from 'tap'
import { type AlgorithmName, createVerifier } from '../../packages/verify/index.ts'
import { AUDIENCE, type SigningKey, signingKey, verdict } from '../support/issuers/fake-issuer.ts'
import { listen } from '../support/server/listen.ts'
import { clientCredentials } from '../support/server/requests.ts'
import { ORDERS, seed } from '../support/server/seed.ts'

const SECRET = 'x'.repeat(54)

async function oidcProvider(t: Test, keys: readonly SigningKey[], alg: string) {
  const server = createServer((request, response) => handle(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, {
    jwks: {
      keys: await Promise.all(
        keys.map(async (key) => ({
          ...(await exportJWK(key.private)),
          kid: key.kid,
          alg: key.alg,
          use: 'sig',
        })),
      ),
    },
    clients: [
      {
        client_id: 'machine',
        client_secret: SECRET,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        getResourceServerInfo: () => ({
          scope: 'orders:read',
          audience: AUDIENCE,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg } },
        }),
      },
    },
  })
  const handle = provider.callback()
  const token = async (): Promise<string> => {
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`machine:${SECRET}`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'orders:read' }),
    })
    return ((await response.json()) as { access_token: string }).access_token
  }
  return { issuer, token }
}

t.test('tokens of oidc-provider are verified, whose metadata OpenID Connect Discovery finds', async (t) => {
  const keys = await Promise.all(
    (['RS256', 'PS256', 'ES256', 'EdDSA'] as const).map((alg) => signingKey(`key-${alg}`, alg)),
  )
  for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA'] satisfies AlgorithmName[]) {
    const { issuer, token } = await oidcProvider(t, keys, alg)
    const verifier = createVerifier({ issuer, audience: AUDIENCE, algorithms: [alg], statusList: true })
    t.teardown(() => verifier.close())
    await verifier.ready()
    const given = await token()
    t.match(await verifier.verify(given), {
      iss: issuer,
      aud: AUDIENCE,
      sub: 'machine',
      client_id: 'machine',
      scope: 'orders:read',
    })
    t.equal(await verdict(verifier, `${given.slice(0, -8)}AAAAAAAA`), 'bad_signature', alg)
    const other = createVerifier({ issuer, audience: 'https://other.example', algorithms: [alg] })
    t.teardown(() => other.close())
    t.equal(await verdict(other, given), 'wrong_audience')
    const narrow = createVerifier({ issuer, audience: AUDIENCE, algorithms: ['RS512'] })
    t.teardown(() => narrow.close())
    t.equal(await verdict(narrow, given), 'algorithm_refused')
  }
})

t.test('tokens of Keyturn are verified, whose keys are found by discovery over a socket', async (t) => {
  const { server, issuer } = await listen(t)
  await seed(server.store)
  const verifier = createVerifier({ issuer, audience: ORDERS, clock: server.clock.now })
  t.teardown(() => verifier.close())
  const token: string = (await clientCredentials(server)).json().access_token
  t.match(await verifier.verify(token), { iss: issuer, aud: ORDERS, sub: 'machine' })
  server.clock.tick(3600)
  t.equal(await verdict(verifier, token), 'expired')
})
