/**
 * What a client is where nothing else was chosen: every default of a client's field, in one table. Registration,
 * the command line, seeds and tests use it. Must not know who registers a client.
 */
import type { Client } from '../../store/contracts/clients.ts'
import type { New } from '../../store/contracts/update.ts'

type Chosen = 'id' | 'name' | 'createdAt'

/** A client that may do nothing yet. */
export const CLIENT_DEFAULTS = {
  authMethod: 'client_secret_basic',
  secretHash: null,
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
  pkce: 'required',
  /** null: the server's lifetime (KEYTURN_ACCESS_TOKEN_TTL). */
  accessTokenTtl: null,
  acceptEndpointAudience: false,
  introspects: [],
  disabled: false,
} as const satisfies Omit<New<Client>, Chosen>

/** Instead of `authMethod` above, for a client that is given public keys and no method. */
export const AUTH_METHOD_WITH_KEYS = 'private_key_jwt'

export function newClient(given: Pick<Client, Chosen> & Partial<New<Client>>): New<Client> {
  return { ...CLIENT_DEFAULTS, ...given }
}
