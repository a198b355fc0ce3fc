/**
 * A merge patch (RFC 7396) of a client in the names of RFC 7591 §2, applied to a stored client: null restores a default, and what is
 * not given stays. Must not know the store.
 */
import { AUTH_METHOD_WITH_KEYS, CLIENT_DEFAULTS } from '../oauth/client-registration/client-defaults.ts'
import { parseClientJwks } from '../oauth/client-registration/client-jwks.ts'
import { clientName } from '../oauth/client-registration/registration.ts'
import { inField } from '../oauth/client-registration/registration-error.ts'
import { changedTlsSubject, TLS_CLIENT_AUTH } from '../oauth/client-registration/tls-subject.ts'
import type { Client, TlsSubject } from '../store/contracts/clients.ts'
import type { New } from '../store/contracts/update.ts'
import type { ClientChangeView } from './clients.schema.ts'

type Defaults = typeof CLIENT_DEFAULTS

/** The member of a client for each member of the JSON that is stored as it is. */
const MEMBERS = {
  token_endpoint_auth_method: 'authMethod',
  backchannel_logout_uri: 'backchannelLogoutUri',
  logo_uri: 'logoUri',
  client_uri: 'clientUri',
  policy_uri: 'policyUri',
  tos_uri: 'tosUri',
  pkce: 'pkce',
  require_pushed_authorization_requests: 'requirePushedRequests',
  require_signed_request_object: 'requireSignedRequests',
  first_party: 'firstParty',
  require_second_factor: 'requireSecondFactor',
  access_token_ttl: 'accessTokenTtl',
  claims_in_id_token: 'claimsInIdToken',
  roles_claim: 'rolesClaim',
  accept_endpoint_audience: 'acceptEndpointAudience',
  dpop_bound_access_tokens: 'requireDpop',
  tls_client_certificate_bound_access_tokens: 'requireMtlsBound',
  id_token_signed_response_alg: 'idTokenSigningAlg',
  authorization_signed_response_alg: 'authorizationSignedResponseAlg',
  introspection_signed_response_alg: 'introspectionSignedResponseAlg',
  profile: 'profile',
} as const satisfies Partial<Record<keyof ClientChangeView, keyof Defaults>>

/** Lists, without duplicates. */
const LISTS = {
  grant_types: 'grants',
  redirect_uris: 'redirectUris',
  post_logout_redirect_uris: 'postLogoutRedirectUris',
  introspects: 'introspects',
} as const satisfies Partial<Record<keyof ClientChangeView, keyof Defaults>>

/** Without the secret and the logo, which are not only values. */
export function applyChange(client: New<Client>, change: ClientChangeView): New<Client> {
  const members = Object.entries(MEMBERS).flatMap(([name, member]) => {
    const value = change[name as keyof typeof MEMBERS]
    return value === undefined ? [] : [[member, value ?? CLIENT_DEFAULTS[member]] as const]
  })
  const lists = Object.entries(LISTS).flatMap(([name, member]) => {
    const value = change[name as keyof typeof LISTS]
    return value === undefined ? [] : [[member, [...new Set(value ?? CLIENT_DEFAULTS[member])]] as const]
  })
  const { client_name: name, scope } = change
  const changed = {
    ...client,
    ...(name === undefined ? {} : { name: clientName(name) ?? name }),
    ...(scope === undefined ? {} : { scopes: wordsOf(scope ?? '') }),
    ...keysOf(client, change),
    ...Object.fromEntries([...members, ...lists]),
  }
  return { ...changed, tlsSubject: tlsSubjectOf(changed, change) }
}

/** The subject that belongs to an earlier authentication method goes with it. */
function tlsSubjectOf({ authMethod, tlsSubject }: New<Client>, change: ClientChangeView): TlsSubject | null {
  return changedTlsSubject(authMethod === TLS_CLIENT_AUTH ? tlsSubject : null, change)
}

/** The members of the client that a change gives. null gives none: it restores the default, which may be that of a profile. */
export function chosenMembers(change: ClientChangeView): ReadonlySet<keyof Client> {
  const names = Object.entries(MEMBERS) as [keyof typeof MEMBERS, keyof Defaults][]
  return new Set(names.flatMap(([name, member]) => ((change[name] ?? null) === null ? [] : [member])))
}

const wordsOf = (text: string): string[] => [...new Set(text.split(' ').filter(Boolean))]

/**
 * Keys in a document or at an address: whichever is given replaces the other. Only the first keys of a client change its
 * authentication method: a client that has keys and authenticates in another way uses them for signed requests.
 * @throws {RegistrationError}
 */
function keysOf(client: New<Client>, { jwks, jwks_uri: uri }: ClientChangeView): Partial<New<Client>> {
  if (jwks === undefined && uri === undefined) return {}
  const given = {
    ...(jwks === undefined
      ? uri
        ? { jwks: null }
        : {}
      : { jwks: jwks && inField('jwks', () => parseClientJwks(jwks)) }),
    ...(uri === undefined ? (jwks ? { jwksUri: null } : {}) : { jwksUri: uri }),
  }
  const isFirst = Boolean(jwks ?? uri) && client.jwks === null && client.jwksUri === null
  return { ...given, ...(isFirst ? { authMethod: AUTH_METHOD_WITH_KEYS } : {}) }
}

/** How many keys of the given document are of another kind, and were left out. */
export function keysLeftOut({ jwks }: ClientChangeView, { jwks: stored }: New<Client>): number {
  return jwks && stored ? jwks.keys.length - stored.keys.length : 0
}
