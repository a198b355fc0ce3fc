/**
 * The table of default values for the fields of a client. Registration, the command line, seeds and tests use it. Must not know
 * who registers a client.
 */
import type { Client } from '../../store/contracts/clients.ts'
import type { New } from '../../store/contracts/update.ts'

type FieldWithoutDefault = 'id' | 'name' | 'createdAt'

/** With these defaults a client has no permissions. */
export const CLIENT_DEFAULTS = {
  authMethod: 'client_secret_basic',
  secrets: [],
  grants: [],
  scopes: [],
  redirectUris: [],
  postLogoutRedirectUris: [],
  backchannelLogoutUri: null,
  firstParty: false,
  requirePushedRequests: false,
  requireSignedRequests: false,
  requireSecondFactor: false,
  jwks: null,
  jwksUri: null,
  logoUri: null,
  logo: null,
  clientUri: null,
  policyUri: null,
  tosUri: null,
  /** null: `required` for a public client, `optional` for any other. */
  pkce: null,
  /** null: KEYTURN_ACCESS_TOKEN_TTL. */
  accessTokenTtl: null,
  claimsInIdToken: true,
  rolesClaim: 'roles',
  acceptEndpointAudience: false,
  introspects: [],
  requireDpop: false,
  requireMtlsBound: false,
  tlsSubject: null,
  /** null: the default algorithm of the ring, here and below. */
  idTokenSigningAlg: null,
  authorizationSignedResponseAlg: null,
  introspectionSignedResponseAlg: null,
  profile: null,
  disabled: false,
} as const satisfies Omit<New<Client>, FieldWithoutDefault>

/** The default `authMethod` of a client that is registered with public keys. */
export const AUTH_METHOD_WITH_KEYS = 'private_key_jwt'

export function newClient(fields: Pick<Client, FieldWithoutDefault> & Partial<New<Client>>): New<Client> {
  return { ...CLIENT_DEFAULTS, ...fields }
}
