/**
 * The rules of client registration (RFC 7591): what a client may be, and how it is shown. Pure; must not know who
 * registers it, or the store. Names on the outside are those of RFC 7591 §2.
 */
import type { Client } from '../../store/contracts/clients.ts'
import type { Random } from '../../system.ts'
import { METHOD_NAMES } from '../client-auth/index.ts'
import { hashMadeSecret, makeSecret } from '../client-auth/secret.ts'
import { GRANT_NAMES } from '../grants/index.ts'
import { checkCalledUri } from '../outbound-uri.ts'
import { checkRedirectUri } from '../redirect-uri.ts'
import { SCOPE_TOKEN } from '../scope.ts'
import { parseClientJwks } from './client-jwks.ts'
import { RegistrationError } from './registration-error.ts'

/** What is chosen at registration; the rest of a client comes about by itself. */
export type Registration = Omit<Client, 'secretHash' | 'disabled' | 'createdAt'>

/** One line of what an eye can see; nothing that could pass for something else on a terminal or a page. */
const PRINTABLE = /^[^\p{C}\p{Z}]+(?: +[^\p{C}\p{Z}]+)*$/u
const LONGEST_NAME = 200
const SHORTEST_SECRET = 16
const LONGEST_SECRET = 200

/** What a registration must not be: a row each, the first that holds is told. */
const faults: readonly [(client: Registration) => boolean, string][] = [
  [
    ({ id }) => !isPrintable(id),
    `client id must be 1 to ${LONGEST_NAME} printable characters, without space at the ends`,
  ],
  // Both kinds of name end up in `sub`: one must never read as the other (RFC 9700 §4.15.1).
  [({ id }) => /^u_/i.test(id), 'client id must not begin with u_: the ids of users do'],
  [({ id }) => /^https:\/\//i.test(id), 'client id must not begin with https://: metadata documents do'],
  [({ name }) => !isPrintable(name), `name must be 1 to ${LONGEST_NAME} printable characters`],
  [
    ({ authMethod }) => !isOneOf(METHOD_NAMES, authMethod),
    `authentication method must be one of ${METHOD_NAMES.join(', ')}`,
  ],
  [
    ({ grants }) => !grants.every((grant) => isOneOf(GRANT_NAMES, grant)),
    `grant must be one of ${GRANT_NAMES.join(', ')}`,
  ],
  [({ grants, introspects }) => grants.length + introspects.length === 0, 'a client needs a grant'],
  [
    ({ scopes }) => !scopes.every((scope) => SCOPE_TOKEN.test(scope)),
    'scope must be printable ASCII without space, quote or backslash (RFC 6749 §3.3)',
  ],
  [({ jwks, jwksUri }) => jwks !== null && jwksUri !== null, 'jwks and jwks_uri exclude each other'],
  [
    ({ authMethod, jwks, jwksUri }) => authMethod === 'private_key_jwt' && jwks === null && jwksUri === null,
    'private_key_jwt needs the client’s public keys: a JWKS or its address',
  ],
  [
    ({ authMethod, grants }) => authMethod === 'none' && grants.includes('client_credentials'),
    'client_credentials is for clients that authenticate: none is not enough (RFC 6749 §4.4)',
  ],
  [
    ({ authMethod, introspects }) => authMethod === 'none' && introspects.length > 0,
    'introspection is for clients that authenticate: none is not enough (RFC 7662 §2.1)',
  ],
  [
    ({ grants, redirectUris }) => grants.includes('authorization_code') && redirectUris.length === 0,
    'authorization_code needs a redirect URI: where codes may be sent',
  ],
  [
    ({ authMethod, pkce }) => authMethod === 'none' && pkce === 'optional',
    'only clients that authenticate may do without PKCE (OAuth 2.1 §7.5.1)',
  ],
  [
    ({ requireSignedRequests, jwks, jwksUri }) => requireSignedRequests && jwks === null && jwksUri === null,
    'signed requests need the client’s public keys: a JWKS or its address (RFC 9101 §6.2)',
  ],
]

/** @throws {RegistrationError} for the first rule that is broken */
export function checkRegistration(client: Registration): void {
  for (const [isFault, message] of faults) if (isFault(client)) throw new RegistrationError(message)
  for (const uri of client.redirectUris) checkRedirectUri(uri)
  if (client.jwks) parseClientJwks(client.jwks)
  if (client.jwksUri !== null) checkCalledUri(client.jwksUri, 'JWKS URI')
  for (const uri of client.postLogoutRedirectUris) checkRedirectUri(uri, 'post-logout redirect URI')
  if (client.backchannelLogoutUri !== null)
    checkCalledUri(client.backchannelLogoutUri, 'back-channel logout URI')
}

function isPrintable(text: string): boolean {
  return text.length <= LONGEST_NAME && PRINTABLE.test(text)
}

const isOneOf = (names: readonly string[], name: string): boolean => names.includes(name)

/** Random, and marked as a client's: neither taken for a user's id nor for an option of a command. */
export function makeClientId(random: Pick<Random, 'id'>): string {
  return `c_${random.id()}`
}

export function usesSecret(authMethod: string): boolean {
  return authMethod === 'client_secret_basic' || authMethod === 'client_secret_post'
}

/** The secret is for its owner, once; the hash is for the store. */
export function issueSecret(random: Pick<Random, 'bytes'>): { secret: string; hash: string } {
  const secret = makeSecret(random)
  return { secret, hash: hashMadeSecret(secret) }
}

/** @throws {RegistrationError} for a secret that somebody chose too short, or that no header could carry */
export function checkChosenSecret(secret: string): void {
  if (secret.length < SHORTEST_SECRET || secret.length > LONGEST_SECRET || /\p{C}/u.test(secret)) {
    throw new RegistrationError(`secret must be ${SHORTEST_SECRET} to ${LONGEST_SECRET} printable characters`)
  }
}

/** The client in the names of RFC 7591 §2 and §3.2.1, and ours where it has none; never its secret or a hash. */
export function describeClient(client: Client): Record<string, unknown> {
  return {
    client_id: client.id,
    client_id_issued_at: client.createdAt,
    client_name: client.name,
    token_endpoint_auth_method: client.authMethod,
    grant_types: client.grants,
    ...(client.grants.includes('authorization_code') ? { response_types: ['code'] } : {}),
    redirect_uris: client.redirectUris,
    post_logout_redirect_uris: client.postLogoutRedirectUris,
    ...(client.backchannelLogoutUri
      ? { backchannel_logout_uri: client.backchannelLogoutUri, backchannel_logout_session_required: true }
      : {}),
    scope: client.scopes.join(' '),
    ...(client.jwks ? { jwks: client.jwks } : {}),
    ...(client.jwksUri ? { jwks_uri: client.jwksUri } : {}),
    pkce: client.pkce,
    require_pushed_authorization_requests: client.requirePushedRequests,
    require_signed_request_object: client.requireSignedRequests,
    first_party: client.firstParty,
    require_second_factor: client.requireSecondFactor,
    access_token_ttl: client.accessTokenTtl,
    accept_endpoint_audience: client.acceptEndpointAudience,
    introspects: client.introspects,
    disabled: client.disabled,
  }
}
