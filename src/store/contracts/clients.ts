import type { EpochSeconds, Seconds } from '../../system.ts'
import type { New, Update } from './update.ts'

/** `optional`: without PKCE, a request must have the scope `openid` and a `nonce` (OAuth 2.1 §7.5.1). */
export type PkcePolicy = 'required' | 'optional'

/** A registered client (RFC 6749 §2). The members are those of RFC 7591 §2, in camel case. */
export interface Client {
  /** `client_id`. */
  readonly id: string
  readonly name: string
  /** `token_endpoint_auth_method`. A client with a secret may also use the other method for secrets (oauth/client-auth/index.ts). */
  readonly authMethod: string
  /** `sha256:…` for a generated secret, an argon2 string for a user-supplied secret, null if the client has no secret. */
  readonly secretHash: string | null
  readonly grants: readonly string[]
  readonly scopes: readonly string[]
  readonly redirectUris: readonly string[]
  /** URIs to which a browser may be redirected after sign-out (OpenID Connect RP-Initiated Logout §3.1). */
  readonly postLogoutRedirectUris: readonly string[]
  /** Receives a logout token when a session ends (OpenID Connect Back-Channel Logout §2.2). */
  readonly backchannelLogoutUri: string | null
  /** The client belongs to the operator's own organisation: users do not see the consent page. */
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
  /** null: `required` for a public client, `optional` for any other. */
  readonly pkce: PkcePolicy | null
  readonly accessTokenTtl: Seconds | null
  /** ID tokens contain what the granted scopes stand for, as userinfo does (OpenID Connect Core §5.4). */
  readonly claimsInIdToken: boolean
  /** The name of the claim for the scope `roles`, in ID tokens and at userinfo. */
  readonly rolesClaim: string
  /** The audience of a client assertion may be the URL of an endpoint, besides the issuer. */
  readonly acceptEndpointAudience: boolean
  /** Identifiers of the APIs for which this client is the resource server: it may introspect their tokens (RFC 7662 §4). */
  readonly introspects: readonly string[]
  readonly disabled: boolean
  readonly createdAt: EpochSeconds
  /** Grows by one with every change of the row (contracts/update.ts). The store sets it. */
  readonly revision: number
}

export interface ClientStore {
  find(id: string): Promise<Client | null>
  /** Oldest first. */
  list(): Promise<Client[]>
  /** Returns false, and changes nothing, if the id is taken. */
  insert(client: New<Client>): Promise<boolean>
  /** Changes everything that is registered under the id, except `id` and `createdAt`. */
  readonly update: Update<Client>
  /** Deletes the client and its sessions, and revokes all its tokens. Returns false if the client does not exist. */
  delete(id: string): Promise<boolean>
}
