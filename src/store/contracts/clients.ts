import type { EpochSeconds, Seconds } from '../../system.ts'

export type PkcePolicy = 'required' | 'optional'

/** A registered client (RFC 6749 §2; the names of RFC 7591 §2 in our spelling). */
export interface Client {
  /** `client_id`. */
  readonly id: string
  readonly name: string
  /** `token_endpoint_auth_method`; the only one accepted from this client. */
  readonly authMethod: string
  /** `sha256:…` for a secret the server made, an argon2 string for one somebody chose, null without a secret. */
  readonly secretHash: string | null
  readonly grants: readonly string[]
  readonly scopes: readonly string[]
  readonly redirectUris: readonly string[]
  /** Where a browser may be sent after sign-out (OpenID Connect RP-Initiated Logout §3.1). */
  readonly postLogoutRedirectUris: readonly string[]
  /** Told when a session ends (OpenID Connect Back-Channel Logout §2.2). */
  readonly backchannelLogoutUri: string | null
  /** Of the operator's own house: people are not asked whether they allow it. */
  readonly firstParty: boolean
  /** Authorization requests must be pushed (RFC 9126 §6). */
  readonly requirePushedRequests: boolean
  /** Authorization requests must be signed (RFC 9101 §10.5). */
  readonly requireSignedRequests: boolean
  /** Its users must sign in with a second factor. */
  readonly requireSecondFactor: boolean
  /** Public keys for `private_key_jwt`, given at registration. */
  readonly jwks: { readonly keys: readonly Record<string, unknown>[] } | null
  readonly jwksUri: string | null
  readonly pkce: PkcePolicy
  readonly accessTokenTtl: Seconds | null
  /** Takes an endpoint's URL as the audience of a client assertion, besides the issuer. */
  readonly acceptEndpointAudience: boolean
  /** APIs (identifiers) whose tokens this client may introspect, being their resource server (RFC 7662 §4). */
  readonly introspects: readonly string[]
  readonly disabled: boolean
  readonly createdAt: EpochSeconds
}

export interface ClientStore {
  find(id: string): Promise<Client | null>
  list(): Promise<Client[]>
  /** False, and nothing changed, if the id is taken. */
  insert(client: Client): Promise<boolean>
  /** Replaces all that is registered under the id; false if there is no such client. */
  replace(client: Client): Promise<boolean>
  /** False if there was no such client. Its sessions go with it, and all its tokens are taken back. */
  delete(id: string): Promise<boolean>
}
