/**
 * The rules of client registration (RFC 7591 §2), and the metadata that describes a client. Pure; must not know the store, or
 * who registers a client.
 */

import { ALGORITHM_NAMES } from '../../algorithm-names.ts'
import { isAlgorithm } from '../../keys/algorithms.ts'
import { isDotSegment } from '../../path-segment.ts'
import type { Client } from '../../store/contracts/clients.ts'
import type { New } from '../../store/contracts/update.ts'
import type { Random } from '../../system.ts'
import { prepareName } from '../../visible-text.ts'
import { METHOD_NAMES } from '../client-auth/index.ts'
import { GRANT_NAMES } from '../grants/index.ts'
import { checkOutboundUri, checkPageUri } from '../outbound-uri.ts'
import { pkcePolicyOf } from '../pkce.ts'
import { checkRedirectUri } from '../redirect-uri.ts'
import { SCOPE_TOKEN } from '../scope.ts'
import { isRolesClaimName } from '../user-claims.ts'
import { certificatesIn, parseClientJwks, usableClientJwks } from './client-jwks.ts'
import { checkFapi2 } from './fapi2.ts'
import { inField, RegistrationError } from './registration-error.ts'
import { SIGNING_ALGS } from './signing-algs.ts'
import { checkTlsSubject, SELF_SIGNED, TLS_CLIENT_AUTH, TLS_SUBJECT_MEMBERS } from './tls-subject.ts'

/** The fields that are set at registration. The server sets the others. */
export type Registration = Omit<Client, 'secrets' | 'disabled' | 'createdAt' | 'revision'>

/** One line of visible characters, which cannot imitate other text on a terminal or a page. */
const PRINTABLE = /^[^\p{C}\p{Z}]+(?: +[^\p{C}\p{Z}]+)*$/u
const MAX_NAME_LENGTH = 200

type Rule = readonly [(client: Registration) => boolean, string, field: string]

/** One row for each rule: whether it is broken, the message, and the member that it is about. The first broken rule is reported. */
const rules: readonly Rule[] = [
  [
    ({ id }) => !isPrintable(id),
    `client id must be 1 to ${MAX_NAME_LENGTH} printable characters, without leading or trailing spaces`,
    'client_id',
  ],
  [({ id }) => isDotSegment(id), 'client id must not be . or .., which mean a folder in a URL', 'client_id'],
  // Ids of clients and of users both end up in `sub`, so they must be distinguishable (RFC 9700 §4.15.1).
  [
    ({ id }) => /^u_/i.test(id),
    'client id must not begin with u_, which marks the ids of users',
    'client_id',
  ],
  [
    ({ id }) => /^https:\/\//i.test(id),
    'client id must not begin with https://, which marks client metadata documents',
    'client_id',
  ],
  [
    ({ name }) => clientName(name) === null,
    `name must be 1 to ${MAX_NAME_LENGTH} printable characters`,
    'client_name',
  ],
  [
    ({ authMethod }) => !isOneOf(METHOD_NAMES, authMethod),
    `authentication method must be one of ${METHOD_NAMES.join(', ')}`,
    'token_endpoint_auth_method',
  ],
  [
    ({ grants }) => !grants.every((grant) => isOneOf(GRANT_NAMES, grant)),
    `grant must be one of ${GRANT_NAMES.join(', ')}`,
    'grant_types',
  ],
  [
    ({ grants, introspects }) => grants.length + introspects.length === 0,
    'a client needs at least one grant',
    'grant_types',
  ],
  [
    ({ scopes }) => !scopes.every((scope) => SCOPE_TOKEN.test(scope)),
    'scope must be printable ASCII without spaces, quotes or backslashes (RFC 6749 §3.3)',
    'scope',
  ],
  [
    ({ jwks, jwksUri }) => jwks !== null && jwksUri !== null,
    'jwks and jwks_uri cannot both be set',
    'jwks_uri',
  ],
  [
    ({ authMethod, jwks, jwksUri }) => authMethod === 'private_key_jwt' && jwks === null && jwksUri === null,
    'private_key_jwt needs the client’s public keys: jwks or jwks_uri',
    'jwks',
  ],
  [
    ({ authMethod, jwks, jwksUri }) =>
      authMethod === SELF_SIGNED && jwksUri === null && !(jwks && hasCertificate(jwks)),
    `${SELF_SIGNED} needs the client’s certificates: x5c in a key of jwks, or jwks_uri (RFC 8705 §2.2.2)`,
    'jwks',
  ],
  [
    ({ authMethod, grants }) => authMethod === 'none' && grants.includes('client_credentials'),
    'client_credentials needs client authentication: none is not enough (RFC 6749 §4.4)',
    'grant_types',
  ],
  [
    ({ authMethod, introspects }) => authMethod === 'none' && introspects.length > 0,
    'introspection needs client authentication: none is not enough (RFC 7662 §2.1)',
    'introspects',
  ],
  [
    ({ grants, redirectUris }) => grants.includes('authorization_code') && redirectUris.length === 0,
    'authorization_code needs a redirect URI',
    'redirect_uris',
  ],
  [
    ({ authMethod, pkce }) => authMethod === 'none' && pkce === 'optional',
    'PKCE can be optional only for clients that authenticate (OAuth 2.1 §7.5.1)',
    'pkce',
  ],
  [
    ({ rolesClaim }) => !isRolesClaimName(rolesClaim),
    'the name of the claim for roles must be 1 to 200 printable ASCII characters without spaces, quotes or backslashes, and not the name of another claim',
    'roles_claim',
  ],
  [
    ({ requireSignedRequests, jwks, jwksUri }) => requireSignedRequests && jwks === null && jwksUri === null,
    'signed requests need the client’s public keys: jwks or jwks_uri (RFC 9101 §6.2)',
    'require_signed_request_object',
  ],
  [
    ({ authMethod, tlsSubject }) => authMethod === TLS_CLIENT_AUTH && tlsSubject === null,
    `${TLS_CLIENT_AUTH} needs the subject of the certificate: one of ${Object.values(TLS_SUBJECT_MEMBERS).join(', ')} (RFC 8705 §2.1.2)`,
    TLS_SUBJECT_MEMBERS.subject_dn,
  ],
  [
    ({ authMethod, tlsSubject }) => authMethod !== TLS_CLIENT_AUTH && tlsSubject !== null,
    `only a client that authenticates with ${TLS_CLIENT_AUTH} has a certificate with a registered subject (RFC 8705 §2.1.2)`,
    TLS_SUBJECT_MEMBERS.subject_dn,
  ],
  ...SIGNING_ALGS.map(
    ([member, field]): Rule => [
      (client) => client[member] !== null && !isAlgorithm(client[member]),
      `${field} must be one of ${ALGORITHM_NAMES.join(', ')}`,
      field,
    ],
  ),
]

/** Whether the certificate of a key can be used. */
const hasCertificate = (jwks: unknown): boolean => certificatesIn(usableClientJwks(jwks)).size > 0

/** @throws {RegistrationError} for the first rule that is broken */
export function checkRegistration(client: Registration): void {
  for (const [isBroken, message, field] of rules)
    if (isBroken(client)) throw new RegistrationError(message, 'invalid_client_metadata', undefined, field)
  if (client.profile === 'fapi2') checkFapi2(client)
  for (const uri of client.redirectUris) inField('redirect_uris', () => checkRedirectUri(uri))
  const { jwks, jwksUri, backchannelLogoutUri, logoUri } = client
  if (client.tlsSubject) checkTlsSubject(client.tlsSubject)
  if (jwks) inField('jwks', () => parseClientJwks(jwks))
  if (jwksUri !== null) inField('jwks_uri', () => checkOutboundUri(jwksUri, 'JWKS URI'))
  for (const uri of client.postLogoutRedirectUris)
    inField('post_logout_redirect_uris', () => checkRedirectUri(uri, 'post-logout redirect URI'))
  if (backchannelLogoutUri !== null)
    inField('backchannel_logout_uri', () => checkOutboundUri(backchannelLogoutUri, 'back-channel logout URI'))
  if (logoUri !== null) inField('logo_uri', () => checkOutboundUri(logoUri, 'logo URI'))
  for (const [name, what, field] of PAGES) {
    const uri = client[name]
    if (uri !== null) inField(field, () => checkPageUri(uri, what))
  }
}

/** Pages to which the consent page links. */
const PAGES = [
  ['clientUri', 'client URI', 'client_uri'],
  ['policyUri', 'policy URI', 'policy_uri'],
  ['tosUri', 'terms of service URI', 'tos_uri'],
] as const

/** The form in which the name of a client is stored and shown; null if no client can have it. */
export const clientName = (name: string): string | null => prepareName(name, MAX_NAME_LENGTH)

function isPrintable(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && PRINTABLE.test(text)
}

const isOneOf = (names: readonly string[], name: string): boolean => names.includes(name)

/** A random id. The prefix distinguishes it from user ids and from options of commands. */
export function createClientId(random: Pick<Random, 'id'>): string {
  return `c_${random.id()}`
}

/**
 * The client's metadata with the names of RFC 7591 §2 and §3.2.1, and extensions. Never contains the secret or its hash.
 */
export function describeClient(client: New<Client>): Record<string, unknown> {
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
    ...(client.logoUri ? { logo_uri: client.logoUri } : {}),
    ...(client.clientUri ? { client_uri: client.clientUri } : {}),
    ...(client.policyUri ? { policy_uri: client.policyUri } : {}),
    ...(client.tosUri ? { tos_uri: client.tosUri } : {}),
    pkce: pkcePolicyOf(client),
    require_pushed_authorization_requests: client.requirePushedRequests,
    require_signed_request_object: client.requireSignedRequests,
    first_party: client.firstParty,
    require_second_factor: client.requireSecondFactor,
    access_token_ttl: client.accessTokenTtl,
    claims_in_id_token: client.claimsInIdToken,
    roles_claim: client.rolesClaim,
    accept_endpoint_audience: client.acceptEndpointAudience,
    introspects: client.introspects,
    dpop_bound_access_tokens: client.requireDpop,
    tls_client_certificate_bound_access_tokens: client.requireMtlsBound,
    ...(client.tlsSubject ? { [TLS_SUBJECT_MEMBERS[client.tlsSubject.kind]]: client.tlsSubject.value } : {}),
    ...Object.fromEntries(
      SIGNING_ALGS.flatMap(([member, field]) => (client[member] === null ? [] : [[field, client[member]]])),
    ),
    ...(client.profile ? { profile: client.profile } : {}),
    disabled: client.disabled,
  }
}
