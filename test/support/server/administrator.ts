/** A machine that administers a server through its API. */
import type { LightMyRequestResponse } from 'fastify'
import { ADMIN_PATH, ADMIN_SCOPES } from '../../../src/admin/built-ins.ts'
import { generateSecret, hashGeneratedSecret } from '../../../src/oauth/client-auth/secret.ts'
import { newClient } from '../../../src/oauth/client-registration/client-defaults.ts'
import { systemRandom } from '../../../src/system.ts'
import { basic } from './requests.ts'
import { storedSecret } from './seed.ts'
import type { TestServer } from './server.ts'

export interface Administrator {
  token(scope?: string): Promise<string>
  /** One request of the API, with a token for all scopes of the administrator. */
  send(
    method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE',
    path: string,
    payload?: object,
    headers?: Record<string, string>,
  ): Promise<LightMyRequestResponse>
}

/** A client that may administer, with as many tokens as it wants. */
export async function administrator(
  server: TestServer,
  id = 'robot',
  scopes: readonly string[] = Object.keys(ADMIN_SCOPES),
): Promise<Administrator> {
  const secret = generateSecret(systemRandom)
  await server.store.clients.insert(
    newClient({
      id,
      name: id,
      secrets: [storedSecret(hashGeneratedSecret(secret), { id: `cs_${id}` })],
      grants: ['client_credentials'],
      scopes,
      createdAt: server.clock.now(),
    }),
  )
  const token = async (scope = scopes.join(' ')) => {
    const response = await server.inject({
      method: 'POST',
      url: '/oauth2/token',
      headers: { authorization: basic(id, secret), 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({ grant_type: 'client_credentials', scope }).toString(),
    })
    return (response.json() as { access_token: string }).access_token
  }
  const send = async (
    method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE',
    path: string,
    payload?: object,
    headers: Record<string, string> = {},
  ) =>
    server.inject({
      method,
      url: ADMIN_PATH + path,
      headers: { authorization: `Bearer ${await token()}`, ...headers },
      ...(payload ? { payload } : {}),
    })
  return { token, send }
}
