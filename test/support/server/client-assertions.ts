/** A server with clients that sign assertions, and common steps of these tests. */
import type { Test } from 'tap'
import type { Client } from '../../../src/store/contracts/clients.ts'
import { writesNothing } from './database-dump.ts'
import { refused } from './error-responses.ts'
import { type AssertionOptions, asserting, assertion, clientKey } from './jws.ts'
import { post } from './requests.ts'
import { client, seed } from './seed.ts'
import { ISSUER, type TestServerOptions, testServer } from './server.ts'

export async function assertionServer(t: Test, options: TestServerOptions = {}) {
  const server = await testServer(options)
  t.teardown(() => server.close())
  await seed(server.store)

  const keys = {
    ES256: clientKey('ES256', 'es'),
    RS256: clientKey('RS256', 'rs'),
    PS256: clientKey('PS256', 'ps'),
    EdDSA: clientKey('EdDSA', 'ed'),
  }

  async function register(id: string, jwks: Record<string, unknown>[], overrides: Partial<Client> = {}) {
    await server.store.clients.insert(
      client({ id, authMethod: 'private_key_jwt', jwks: { keys: jwks }, ...overrides }),
    )
  }

  /** A valid assertion of `signer`, changed by the options. */
  const make = (change: Partial<AssertionOptions> = {}) =>
    assertion({ client: 'signer', key: keys.ES256, audience: ISSUER, now: server.clock.now(), ...change })

  const present = (text: string, url = '/oauth2/token') =>
    post(server, url, { grant_type: 'client_credentials', token: 'x', ...asserting(text) })

  async function accepted(t: Test, text: string, label: string, url?: string) {
    const answer = await present(text, url)
    t.equal(answer.statusCode, 200, `${label}: ${answer.statusCode === 200 ? 'ok' : answer.body}`)
  }

  /** Checks that all assertions get 401 invalid_client and that none consumes its jti. */
  async function allRefused(t: Test, table: Record<string, string>) {
    await writesNothing(t, server, async () => {
      for (const [label, text] of Object.entries(table)) {
        refused(t, await present(text), { status: 401, error: 'invalid_client' }, label)
      }
    })
  }

  await register('signer', [keys.ES256.jwk])
  await register('rsa', [keys.RS256.jwk])
  await register('other', [clientKey('ES256', 'es').jwk])
  await register('lenient', [keys.ES256.jwk], { acceptEndpointAudience: true })
  return { server, keys, register, make, present, accepted, allRefused }
}
