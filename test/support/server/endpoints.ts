/** Every protocol endpoint in every way it is used, as requests that succeed: the basis of hostile tests. */
import { asserting, assertion, type ClientKey, clientKey } from './jws.ts'
import { basic, clientCredentials, type Form, login, refresh } from './requests.ts'
import { client, ORDERS, PASSWORD, SECRET, seed } from './seed.ts'
import { ISSUER, type TestServer } from './server.ts'

export interface GoodRequest {
  readonly name: string
  readonly url: string
  readonly headers: Record<string, string>
  /** A fresh request each time, for values that can be used once. */
  readonly form: () => Promise<Form>
}

/** Adds to the seed what these requests need: a client with a key, and one that may do everything. */
export async function seedEndpoints(server: TestServer): Promise<{ key: ClientKey }> {
  await seed(server.store)
  const key = clientKey('ES256')
  const jwks = { keys: [key.jwk] }
  await server.store.clients.insert(client({ id: 'signer', authMethod: 'private_key_jwt', jwks }))
  await server.poll()
  return { key }
}

export function goodRequests(server: TestServer, key: ClientKey): GoodRequest[] {
  const machine = { authorization: basic('machine') }
  const app = { authorization: basic('app') }
  let current: string | undefined
  /** A refresh costs less than a sign-in, which is needed only after a session was ended. */
  const refreshToken = async () => {
    const refreshed = current === undefined ? {} : (await refresh(server, current)).json()
    current = (refreshed.refresh_token ?? (await login(server)).json().refresh_token) as string
    return current
  }
  const machineToken = async () => (await clientCredentials(server)).json().access_token as string
  return [
    {
      name: 'token by client_credentials',
      url: '/oauth2/token',
      headers: machine,
      form: async () => ({ grant_type: 'client_credentials', scope: 'orders:read', resource: ORDERS }),
    },
    {
      name: 'token by client_secret_post',
      url: '/oauth2/token',
      headers: {},
      form: async () => ({ grant_type: 'client_credentials', client_id: 'poster', client_secret: SECRET }),
    },
    {
      name: 'token by private_key_jwt',
      url: '/oauth2/token',
      headers: {},
      form: async () => ({
        grant_type: 'client_credentials',
        client_id: 'signer',
        ...asserting(assertion({ client: 'signer', key, audience: ISSUER, now: server.clock.now() })),
      }),
    },
    {
      name: 'token by password',
      url: '/oauth2/token',
      headers: app,
      form: async () => ({
        grant_type: 'password',
        username: 'alice',
        password: PASSWORD,
        scope: 'orders:read',
      }),
    },
    {
      name: 'token by refresh_token',
      url: '/oauth2/token',
      headers: app,
      form: async () => ({
        grant_type: 'refresh_token',
        refresh_token: await refreshToken(),
        scope: 'orders:read',
      }),
    },
    {
      name: 'revoke',
      url: '/oauth2/revoke',
      headers: machine,
      form: async () => ({ token: await machineToken(), token_type_hint: 'access_token' }),
    },
    {
      name: 'introspect',
      url: '/oauth2/introspect',
      headers: machine,
      form: async () => ({ token: await machineToken(), token_type_hint: 'access_token' }),
    },
  ]
}

export const FORM = 'application/x-www-form-urlencoded'

/** Sends a raw body with the headers of the valid request. */
export function postText(
  server: TestServer,
  { url, headers }: Pick<GoodRequest, 'url' | 'headers'>,
  payload: string | Buffer,
  more: Record<string, string> = {},
) {
  return server.inject({
    method: 'POST',
    url,
    headers: { 'content-type': FORM, ...headers, ...more },
    payload,
  })
}
