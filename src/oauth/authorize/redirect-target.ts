/**
 * Finds the client of an authorization request and the redirect URI of the response. Until both are known, errors are only
 * shown to the user; afterwards they are sent to the client (RFC 6749 §4.1.2.1). Must not know what is requested.
 */
import type { FailureDetail } from '../../audit/failure-details.ts'
import type { Client } from '../../store/contracts/clients.ts'
import { mayOmitRedirectUri } from '../client-registration/fapi2.ts'
import { type Diagnosis, invalidRequest, OAuthError, unauthorizedClient } from '../errors.ts'
import { type Pair, type Parameters, parametersOf, repeatedIn } from '../parameters.ts'
import { matchesRedirectUri } from '../redirect-uri.ts'
import type { Registry } from '../registry.ts'

/** The client is unknown or the redirect URI is not registered, so the error is only shown to the user. */
export class UntrustedRequest extends OAuthError {
  readonly reason: 'unknown-client' | 'invalid-redirect'
  constructor(reason: UntrustedRequest['reason'], message: string, diagnosis?: Diagnosis) {
    super('invalid_request', message, diagnosis)
    this.reason = reason
  }
}

/** Those that end in `jwt` are signed (JARM §2.3). `jwt` alone is `query.jwt`, because the response has only a code. */
export const RESPONSE_MODES = ['query', 'form_post', 'jwt', 'query.jwt', 'form_post.jwt'] as const
type ResponseMode = (typeof RESPONSE_MODES)[number]

export interface RedirectTarget {
  readonly client: Client
  /** Identical to a registered URI, except for the port of a loopback address (RFC 8252 §7.3). */
  readonly redirectUri: string
  /** False if the client omitted it, which requires exactly one registered URI. The token request must then omit it too. */
  readonly redirectUriSent: boolean
  readonly responseMode: ResponseMode
  readonly state: string | undefined
}

export const unknownClient = (detail: FailureDetail) =>
  new UntrustedRequest('unknown-client', 'this server does not know this application', { detail })

/** @throws {OAuthError} that may be shown to the user but must not be sent to the client */
export async function findClient(registry: Registry, pairs: readonly Pair[]): Promise<Client> {
  if (repeatedIn(pairs).has('client_id')) throw invalidRequest('client_id is repeated')
  const id = parametersOf(pairs).get('client_id')
  if (id === undefined) throw invalidRequest('client_id is missing')
  const client = /\p{C}/u.test(id) ? null : await registry.client(id)
  if (!client || client.disabled) {
    throw unknownClient(client ? 'client_disabled' : 'unknown_client')
  }
  if (!client.grants.includes('authorization_code')) {
    throw unauthorizedClient('this application is not registered for signing in')
  }
  return client
}

/** @throws {OAuthError} that may be shown to the user but must not be sent to the client */
export function findRedirectTarget(client: Client, pairs: readonly Pair[]): RedirectTarget {
  const repeated = repeatedIn(pairs)
  if (repeated.has('client_id') || repeated.has('redirect_uri')) {
    throw invalidRequest('client_id or redirect_uri is repeated')
  }
  const parameters = parametersOf(pairs)
  const sent = parameters.get('redirect_uri')
  return {
    client,
    redirectUri: redirectUriOf(client, sent, parameters),
    redirectUriSent: sent !== undefined,
    responseMode: responseModeOf(repeated.has('response_mode') ? undefined : parameters.get('response_mode')),
    state: repeated.has('state') ? undefined : parameters.get('state'),
  }
}

/** Even a response to a request with an unknown mode must be delivered, as an error. */
const responseModeOf = (name: string | undefined): ResponseMode =>
  RESPONSE_MODES.find((mode) => mode === name) ?? 'query'

function redirectUriOf(client: Client, sent: string | undefined, parameters: Parameters): string {
  if (sent !== undefined) {
    if (matchesRedirectUri(client.redirectUris, sent)) return sent
    throw new UntrustedRequest('invalid-redirect', 'the redirect URI is not registered for this application')
  }
  if (!mayOmitRedirectUri(client)) throw invalidRequest('redirect_uri is missing')
  const [only, ...others] = client.redirectUris
  // RFC 6749 §3.1.2.3. OIDC Core §3.1.2.1 always requires it.
  const isOpenId = parameters.get('scope')?.split(' ').includes('openid')
  if (only === undefined || others.length > 0 || isOpenId) throw invalidRequest('redirect_uri is missing')
  return only
}
