/**
 * A client of the administration API that openapi-typescript made from docs/openapi.json, with openapi-fetch: the README's five minutes
 * over HTTP.
 */
import { createRemoteJWKSet, jwtVerify } from 'jose'
import createClient from 'openapi-fetch'
import t from 'tap'
import type { paths } from './admin-api.d.ts'
import { basicAuthorization, startKeyturn } from './keyturn.ts'

const ORDERS = 'https://orders.example'

const keyturn = await startKeyturn(t)

async function tokenOf(id: string, secret: string): Promise<string> {
  const response = await fetch(`${keyturn.issuer}/oauth2/token`, {
    method: 'POST',
    headers: { authorization: basicAuthorization(id, secret) },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  })
  return ((await response.json()) as { access_token: string }).access_token
}

t.test(
  'openapi-typescript and openapi-fetch: a client that is made over HTTP gets a token for its API',
  async (t) => {
    const scope = 'admin:read admin:clients'
    const { client_id, client_secret } = await keyturn.command<{ client_id: string; client_secret: string }>(
      `clients create --name provisioning --grant client_credentials --scope "${scope}"`,
    )
    const api = createClient<paths>({
      baseUrl: `${keyturn.issuer}/admin/v1`,
      headers: { authorization: `Bearer ${await tokenOf(client_id, client_secret)}` },
    })

    const orders = await api.POST('/apis', { body: { identifier: ORDERS, scopes: ['orders:read'] } })
    t.match(orders.data, { identifier: ORDERS, scopes: ['orders:read'] })

    const hello = {
      body: {
        client_name: 'hello',
        client_id: 'hello',
        grant_types: ['client_credentials' as const],
        scope: 'orders:read',
      },
      params: { header: { 'Idempotency-Key': 'hello-1' } },
    }
    const made = await api.POST('/clients', hello)
    t.equal(made.response.status, 201)
    const secret = made.data?.client_secret ?? ''
    const again = await api.POST('/clients', hello)
    t.equal(again.data?.client_id, 'hello')
    t.equal(again.data?.client_secret, undefined, 'the secret is in one answer')

    const { payload } = await jwtVerify(
      await tokenOf('hello', secret),
      createRemoteJWKSet(new URL(`${keyturn.issuer}/.well-known/jwks.json`)),
      { issuer: keyturn.issuer, audience: ORDERS },
    )
    t.match(payload, { client_id: 'hello', scope: 'orders:read' })

    const path = { client_id: 'hello' }
    const changed = await api.PATCH('/clients/{client_id}', {
      params: { path },
      body: { client_name: 'Hello' },
    })
    t.equal(changed.data?.client_name, 'Hello')
    const late = await api.PATCH('/clients/{client_id}', {
      params: { path, header: { 'If-Match': made.response.headers.get('etag') ?? '' } },
      body: { client_name: 'late' },
    })
    t.match(late.error, { type: 'urn:keyturn:problem:precondition-failed', status: 412 })

    const listed = await api.GET('/clients', { params: { query: { search: 'hello' } } })
    t.same(
      listed.data?.items.map((one) => one.client_name),
      ['Hello'],
    )
    const gone = await api.DELETE('/clients/{client_id}', { params: { path } })
    t.same(gone.data, { deleted: 'hello' })
    t.equal((await api.GET('/clients/{client_id}', { params: { path } })).response.status, 404)
  },
)
