/**
 * The list of methods, and the rule that exactly one is used (RFC 6749 §2.3). A new method is a line below;
 * metadata, the CLI's choices and the rule find it by themselves.
 */
import type { Audit } from '../../audit/events.ts'
import type { Client } from '../../store/contracts/clients.ts'
import { reasonOf } from '../audit-failures.ts'
import { invalidClient, invalidRequest, OAuthError } from '../errors.ts'
import type { ProtocolRequest } from '../parameters.ts'
import type { Registry } from '../registry.ts'
import { clientSecretBasic } from './client-secret-basic.ts'
import { clientSecretPost } from './client-secret-post.ts'
import type { ClientAuthMethod, Presented } from './method.ts'
import { none } from './none.ts'
import { type PrivateKeyJwtDeps, privateKeyJwt } from './private-key-jwt.ts'
import type { SecretVerifier } from './secret.ts'

export interface ClientAuthDeps extends PrivateKeyJwtDeps {
  readonly secrets: SecretVerifier
  readonly registry: Registry
  readonly audit: Audit
}

/** For metadata and the CLI; the same names as the list below, which a test compares. */
export const METHOD_NAMES = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'] as const

export function clientAuthMethods(deps: ClientAuthDeps): readonly ClientAuthMethod[] {
  return [clientSecretBasic(deps.secrets), clientSecretPost(deps.secrets), privateKeyJwt(deps), none()]
}

export type AuthenticateClient = (request: ProtocolRequest) => Promise<Client>

/** @throws {OAuthError} invalid_client, or invalid_request if it is not clear which method is meant */
export function createClientAuthentication(deps: ClientAuthDeps): AuthenticateClient {
  const methods = clientAuthMethods(deps)
  return async (request) => {
    const { method, presented } = present(methods, request)
    const { clientId } = presented
    if (!NAMEABLE.test(clientId)) throw invalidClient('no client can have this id')
    const inBody = request.parameters.get('client_id')
    if (inBody !== undefined && inBody !== clientId) {
      throw invalidRequest('client_id is not the client that authenticates')
    }
    try {
      return await verify(method, presented)
    } catch (error) {
      const known = deps.registry.knownClient(clientId)
      const reason = reasonOf(error)
      deps.audit('client.authentication_failed', {
        // Not what a stranger made up: it may be a secret in the wrong place, or a novel.
        ...(known ? { client_id: known.id } : {}),
        ip: request.ip,
        request_id: request.requestId,
        reason: reason === 'invalid_client' ? method.name : reason,
      })
      throw error
    }
  }

  async function verify(method: ClientAuthMethod, presented: Presented): Promise<Client> {
    const held = deps.registry.knownClient(presented.clientId)
    const heldFailure = held ? await failureOf(held, method, presented) : 'unknown client'
    if (held && heldFailure === null) return held
    // Perhaps the client is new, or has a new secret, that this node has not heard of yet.
    const client = await deps.registry.client(presented.clientId, { fresh: true })
    if (!client || (held && !hasChanged(held, client))) throw invalidClient(heldFailure)
    const failure = await failureOf(client, method, presented)
    if (failure !== null) throw invalidClient(failure)
    return client
  }
}

/** null if the client is who it claims to be; otherwise why not, for the log. */
async function failureOf(client: Client, method: ClientAuthMethod, presented: Presented): Promise<unknown> {
  if (client.disabled) return 'the client is disabled'
  // RFC 7591 §2: the registered method and no other, or a leaked secret would do for a client with a key.
  if (client.authMethod !== method.name) return `the client is registered for ${client.authMethod}`
  try {
    return (await presented.verify(client)) ? null : 'wrong credentials'
  } catch (error) {
    if (error instanceof OAuthError && error.code === 'invalid_client') return error.cause
    throw error
  }
}

/** Well-formed text without control characters; a store may refuse anything else. */
const NAMEABLE = /^[^\p{C}]+$/u

const hasChanged = (a: Client, b: Client): boolean => JSON.stringify(a) !== JSON.stringify(b)

function present(methods: readonly ClientAuthMethod[], request: ProtocolRequest) {
  const matching: { method: ClientAuthMethod; presented: Presented }[] = []
  let malformed: unknown
  let carried = 0
  for (const method of methods) {
    try {
      const presented = method.present(request)
      if (!presented) continue
      matching.push({ method, presented })
    } catch (error) {
      malformed ??= error
    }
    carried += 1
  }
  if (carried > 1) throw invalidRequest('more than one way of client authentication was used')
  if (malformed) throw malformed
  const [only] = matching
  if (!only) throw invalidClient('no client authentication')
  return only
}
