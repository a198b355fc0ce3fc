/**
 * The table of client authentication methods, by `token_endpoint_auth_method` (RFC 7591 §2), and the rule that a request uses
 * exactly one (RFC 6749 §2.3). A new method is a file and a line below; metadata, registration, the choices of the command
 * line and the rule follow from the keys. A method that proves the client secret also needs an entry in `SECRET_METHODS`. Must
 * not know what a method does.
 */
import type { Audit } from '../../audit/events.ts'
import type { Client } from '../../store/contracts/clients.ts'
import { failureFields } from '../audit-failures.ts'
import { type Diagnosed, invalidClient, invalidRequest, OAuthError } from '../errors.ts'
import type { ProtocolRequest } from '../parameters.ts'
import type { Registry } from '../registry.ts'
import { clientSecretBasic } from './client-secret-basic.ts'
import { clientSecretPost } from './client-secret-post.ts'
import type { ClientAuthMethod, ClientAuthMethodDeps, Credentials } from './method.ts'
import { none } from './none.ts'
import { privateKeyJwt } from './private-key-jwt.ts'
import { selfSignedTlsClientAuth } from './self-signed-tls-client-auth.ts'
import { tlsClientAuth } from './tls-client-auth.ts'

const factories = {
  client_secret_basic: clientSecretBasic,
  client_secret_post: clientSecretPost,
  private_key_jwt: privateKeyJwt,
  tls_client_auth: tlsClientAuth,
  self_signed_tls_client_auth: selfSignedTlsClientAuth,
  none,
} as const satisfies Record<string, (deps: ClientAuthMethodDeps) => ClientAuthMethod>

export type ClientAuthMethodName = keyof typeof factories

export const METHOD_NAMES = Object.keys(factories) as readonly ClientAuthMethodName[]

/** The methods that prove the same secret, in the header or in the body (RFC 6749 §2.3.1). */
const SECRET_METHODS: readonly string[] = ['client_secret_basic', 'client_secret_post']

/** The methods that prove a certificate (RFC 8705 §2). The tokens of their clients are bound to it (§3). */
const CERTIFICATE_METHODS: readonly string[] = ['tls_client_auth', 'self_signed_tls_client_auth']

export const usesCertificate = (method: string): boolean => CERTIFICATE_METHODS.includes(method)

export const usesSecret = (method: string): boolean => SECRET_METHODS.includes(method)

/**
 * RFC 6749 §2.3.1: a server must accept a secret in the header and may accept it in the body, and libraries choose either without
 * a setting. So a secret may come in both ways, whichever of them is registered. A method with a key is exclusive (RFC 7591 §2):
 * otherwise a leaked secret would be enough for a client that has a key.
 */
const accepts = (registered: string, used: ClientAuthMethodName): boolean =>
  registered === used || (usesSecret(registered) && usesSecret(used))

export interface ClientAuthDeps extends ClientAuthMethodDeps {
  readonly registry: Registry
  readonly audit: Audit
}

/** The credentials of a request, and their method. */
interface Attempt {
  readonly name: ClientAuthMethodName
  readonly credentials: Credentials
}

/** What a request can mean. There are several meanings only if it has nothing but the client id. All have the same id. */
type Attempts = readonly [Attempt, ...Attempt[]]

export type AuthenticateClient = (request: ProtocolRequest) => Promise<Client>

/** The returned function throws {OAuthError} invalid_client, or invalid_request if several methods are used. */
export function createClientAuthentication(deps: ClientAuthDeps): AuthenticateClient {
  const methods = METHOD_NAMES.map((name) => [name, factories[name](deps)] as const)
  return async (request) => {
    const attempts = findCredentials(methods, request)
    const { clientId } = attempts[0].credentials
    if (!VALID_CLIENT_ID.test(clientId)) {
      throw invalidClient({ detail: 'malformed_credentials', cause: 'not a possible client id' })
    }
    const bodyClientId = request.parameters.get('client_id')
    if (bodyClientId !== undefined && bodyClientId !== clientId) {
      throw invalidRequest('client_id differs from the client that authenticates')
    }
    try {
      return await verify(attempts)
    } catch (error) {
      const known = deps.registry.knownClient(clientId)
      deps.audit('client.authentication_failed', {
        // An unknown id is not recorded: it may be a secret that was sent in the wrong field.
        ...(known ? { client_id: known.id } : {}),
        ip: request.ip,
        request_id: request.requestId,
        ...failureFields(error),
        ...(isInvalidClient(error) ? { reason: attemptFor(known, attempts).name } : {}),
      })
      throw error
    }
  }

  async function verify(attempts: Attempts): Promise<Client> {
    const { clientId } = attempts[0].credentials
    const cached = deps.registry.knownClient(clientId)
    const cachedFailure = cached ? await failureOf(cached, attempts) : null
    if (cached && cachedFailure === null) return cached
    // The client may be new or have a new secret that this node has not loaded yet.
    const client = await deps.registry.client(clientId, { fresh: true })
    if (!client) {
      if (!cached) await attempts[0].credentials.imitateVerify?.()
      throw invalidClient(cachedFailure ?? UNKNOWN)
    }
    if (cached && !hasChanged(cached, client)) throw invalidClient(cachedFailure ?? UNKNOWN)
    const failure = await failureOf(client, attempts)
    if (failure !== null) throw invalidClient(failure)
    return client
  }
}

const UNKNOWN: Diagnosed = { detail: 'unknown_client' }

/** What the request means for this client. */
const attemptFor = (client: Client | null, attempts: Attempts): Attempt =>
  attempts.find(({ name }) => name === client?.authMethod) ?? attempts.at(-1) ?? attempts[0]

/** Why the client is not authenticated; null if it is. */
async function failureOf(client: Client, attempts: Attempts): Promise<Diagnosed | null> {
  const { name, credentials } = attemptFor(client, attempts)
  const accepted = accepts(client.authMethod, name)
  if (client.disabled || !accepted) await credentials.imitateVerify?.()
  if (client.disabled) return { detail: 'client_disabled' }
  if (!accepted) {
    return { detail: 'wrong_auth_method', cause: `the client is registered for ${client.authMethod}` }
  }
  try {
    return (await credentials.verify(client)) ? null : { detail: 'wrong_secret' }
  } catch (error) {
    if (!isInvalidClient(error)) throw error
    return { detail: error.detail ?? 'wrong_secret', cause: error.cause }
  }
}

const isInvalidClient = (error: unknown): error is OAuthError =>
  error instanceof OAuthError && error.code === 'invalid_client'

/** Well-formed text without control characters. Databases may refuse other text. */
const VALID_CLIENT_ID = /^[^\p{C}]+$/u

const hasChanged = (a: Client, b: Client): boolean => JSON.stringify(a) !== JSON.stringify(b)

/** @throws {OAuthError} unless the request carries well-formed credentials of exactly one method */
function findCredentials(
  methods: readonly (readonly [ClientAuthMethodName, ClientAuthMethod])[],
  request: ProtocolRequest,
): Attempts {
  const attempts: Attempt[] = []
  let malformed: unknown
  let methodsUsed = 0
  for (const [name, method] of methods) {
    try {
      const credentials = method.findCredentials(request)
      if (!credentials) continue
      attempts.push({ name, credentials })
    } catch (error) {
      malformed ??= error
    }
    methodsUsed += 1
  }
  const isAlone = malformed === undefined && attempts.every(({ credentials }) => credentials.alone)
  if (methodsUsed > 1 && !isAlone) throw invalidRequest('more than one client authentication method was used')
  if (malformed) throw malformed
  const [first, ...more] = attempts
  if (!first) throw invalidClient({ detail: 'no_client_authentication' })
  return [first, ...more]
}
