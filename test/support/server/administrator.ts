/** A machine that administers a server through its API. */
import type { LightMyRequestResponse } from 'fastify'
import { ADMIN_PATH, ADMIN_SCOPES } from '../../../src/admin/built-ins.ts'
import { adminRoutes, resources } from '../../../src/http/admin/index.ts'
import { openApiDocument } from '../../../src/http/admin/openapi.ts'
import { generateSecret, hashGeneratedSecret } from '../../../src/oauth/client-auth/secret.ts'
import { newClient } from '../../../src/oauth/client-registration/client-defaults.ts'
import { systemRandom } from '../../../src/system.ts'
import { basic } from './requests.ts'
import { storedSecret } from './seed.ts'
import type { TestServer } from './server.ts'

export interface Administrator {
  /** The `Authorization` of the client at the protocol endpoints. */
  readonly basic: string
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
    documented(
      method,
      path,
      await server.inject({
        method,
        url: ADMIN_PATH + path,
        headers: { authorization: `Bearer ${await token()}`, ...headers },
        ...(payload ? { payload } : {}),
      }),
    )
  return { basic: basic(id, secret), token, send }
}

const DOCUMENT = openApiDocument('https://issuer.test', adminRoutes, resources) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: object }>>>>
}

/** Every answer that a test gets must be one that the OpenAPI document has. */
function documented(method: string, path: string, answer: LightMyRequestResponse): LightMyRequestResponse {
  const parts = path.split('?')[0]?.split('/') ?? []
  const operations = Object.entries(DOCUMENT.paths)
    .filter(([template]) => {
      const segments = template.split('/')
      return (
        segments.length === parts.length &&
        segments.every((one, i) => one.startsWith('{') || one === parts[i])
      )
    })
    // A path without parameters is more exact than one with them.
    .sort(([a], [b]) => a.split('{').length - b.split('{').length)
    .flatMap(([, methods]) => methods[method.toLowerCase()] ?? [])
  const [operation] = operations
  if (operation && !Object.hasOwn(operation.responses, answer.statusCode))
    throw new Error(`${method} ${path} has no ${answer.statusCode} in the OpenAPI document: ${answer.body}`)
  return answer
}
