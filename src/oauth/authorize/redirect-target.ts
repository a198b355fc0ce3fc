/**
 * Who asked, and where the answer goes. As long as this is not known an error can only be shown to the person;
 * once it is, errors go to the client (RFC 6749 §4.1.2.1). Must not know what was asked for.
 */
import type { Client } from '../../store/contracts/clients.ts'
import { type Diagnosis, invalidRequest, OAuthError, unauthorizedClient } from '../errors.ts'
import { type Pair, type Parameters, parametersOf, repeatedIn } from '../parameters.ts'
import { matchesRedirectUri } from '../redirect-uri.ts'
import type { Registry } from '../registry.ts'

/** There is no trusted client to answer, so a page tells the user. */
export class UntrustedRequest extends OAuthError {
  readonly because: 'unknown-client' | 'invalid-redirect'
  constructor(because: UntrustedRequest['because'], message: string, diagnosis?: Diagnosis) {
    super('invalid_request', message, diagnosis)
    this.because = because
  }
}

export const RESPONSE_MODES = ['query', 'form_post'] as const
export type ResponseMode = (typeof RESPONSE_MODES)[number]

export interface Recipient {
  readonly client: Client
  /** As it is used; registered to the letter, but for the port on loopback. */
  readonly redirectUri: string
  /** False: the client left it out, having registered only one; the token request may then do so too. */
  readonly redirectUriSent: boolean
  readonly responseMode: ResponseMode
  readonly state: string | undefined
}

/** @throws {OAuthError} for a page: nothing may be sent anywhere */
export async function findClient(registry: Registry, pairs: readonly Pair[]): Promise<Client> {
  if (repeatedIn(pairs).has('client_id')) throw invalidRequest('client_id is repeated')
  const id = parametersOf(pairs).get('client_id')
  if (id === undefined) throw invalidRequest('client_id is missing')
  const client = /\p{C}/u.test(id) ? null : await registry.client(id)
  if (!client || client.disabled) {
    const detail = client ? 'client_disabled' : 'unknown_client'
    throw new UntrustedRequest('unknown-client', 'this application is not known here', { detail })
  }
  if (!client.grants.includes('authorization_code')) {
    throw unauthorizedClient('this application is not registered for signing in')
  }
  return client
}

/** @throws {OAuthError} for a page: nothing may be sent anywhere */
export function findRecipient(client: Client, pairs: readonly Pair[]): Recipient {
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
    responseMode:
      parameters.get('response_mode') === 'form_post' && !repeated.has('response_mode')
        ? 'form_post'
        : 'query',
    state: repeated.has('state') ? undefined : parameters.get('state'),
  }
}

function redirectUriOf(client: Client, sent: string | undefined, parameters: Parameters): string {
  if (sent !== undefined) {
    if (matchesRedirectUri(client.redirectUris, sent)) return sent
    throw new UntrustedRequest('invalid-redirect', 'the redirect URI is not registered for this application')
  }
  const [only, ...others] = client.redirectUris
  // RFC 6749 §3.1.2.3; OIDC Core §3.1.2.1 requires it always.
  const isOpenId = parameters.get('scope')?.split(' ').includes('openid')
  if (only === undefined || others.length > 0 || isOpenId) throw invalidRequest('redirect_uri is missing')
  return only
}
