import type { EpochSeconds, Seconds } from '../../system.ts'
import type { New, Update } from './update.ts'

/** `optional`: without PKCE, a request must have the scope `openid` and a `nonce` (OAuth 2.1 §7.5.1). */
export type PkcePolicy = 'required' | 'optional'

/** The one entry of a certificate by which a client with `tls_client_auth` is known (RFC 8705 §2.1.2). */
export interface TlsSubject {
  readonly kind: 'subject_dn' | 'san_dns' | 'san_uri' | 'san_ip' | 'san_email'
  readonly value: string
}

/** A set of rules that a client is registered to keep (oauth/client-registration/fapi2.ts). */
type ClientProfile = 'fapi2'

/** One secret of a client, without the time of its last use, which is not part of the client. */
export interface ClientSecret {
  readonly id: string
  /** `sha256:…` for a generated secret, an argon2 string for a user-supplied secret. */
  readonly hash: string
  readonly createdAt: EpochSeconds
  /** The secret is refused from this time on; null if it does not expire. */
  readonly expiresAt: EpochSeconds | null
  /** The revision of the client that only added this secret beside the old one; null if more changed with it. */
  readonly addedIn: number | null
}

export interface SecretUse {
  readonly secretId: string
  readonly at: EpochSeconds
}

/** A registered client (RFC 6749 §2). The members are those of RFC 7591 §2, in camel case. */
export interface Client {
  /** `client_id`. */
  readonly id: string
  readonly name: string
  /** `token_endpoint_auth_method`. A client with a secret may also use the other method for secrets (oauth/client-auth/index.ts). */
  readonly authMethod: string
  /** Oldest first; of two from the same second, the one that expires. Those that have expired stay until they are deleted. */
  readonly secrets: readonly ClientSecret[]
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
  /** `logo_uri`, from which the logo was fetched. */
  readonly logoUri: string | null
  /** The hash of the logo (contracts/client-logos.ts). */
  readonly logo: string | null
  /** Pages about the client, its privacy policy and its terms of service: links on the consent page. */
  readonly clientUri: string | null
  readonly policyUri: string | null
  readonly tosUri: string | null
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
  /** `dpop_bound_access_tokens`: every token request needs a DPoP proof (RFC 9449 §5.2). */
  readonly requireDpop: boolean
  /** `tls_client_certificate_bound_access_tokens`: every token request needs a client certificate (RFC 8705 §3.4). */
  readonly requireMtlsBound: boolean
  /** For `tls_client_auth`, and null for every other method. */
  readonly tlsSubject: TlsSubject | null
  /** The algorithm of ID and logout tokens for the client; null: the default of the ring. */
  readonly idTokenSigningAlg: string | null
  /** The algorithm of signed authorization responses (JARM §3); null: the default of the ring. */
  readonly authorizationSignedResponseAlg: string | null
  /** The algorithm of signed introspection responses (RFC 9701 §6); null: the default of the ring. */
  readonly introspectionSignedResponseAlg: string | null
  readonly profile: ClientProfile | null
  readonly disabled: boolean
  readonly createdAt: EpochSeconds
  /** Grows by one with every change of the row (contracts/update.ts). The store sets it. */
  readonly revision: number
}

/** The members of a client that name a lane of the ring. */
export const LANE_MEMBERS = [
  'idTokenSigningAlg',
  'authorizationSignedResponseAlg',
  'introspectionSignedResponseAlg',
] as const satisfies (keyof Client)[]

export interface ClientStore {
  find(id: string): Promise<Client | null>
  /** At most `limit` clients after this one, oldest first, or from the beginning. */
  page(after: Pick<Client, 'createdAt' | 'id'> | null, limit: number): Promise<Client[]>
  /**
   * Returns false, and changes nothing, if the id is taken.
   * @throws {ConstraintViolation} if the ring lacks a lane that the client names
   */
  insert(client: New<Client>): Promise<boolean>
  /**
   * Changes everything that is registered under the id, except `id` and `createdAt`. Reports a conflict if the ring lacks a lane that
   * the client names, or if the logo does not exist.
   */
  readonly update: Update<Client>
  /**
   * When the secrets of the client were used last, by their ids. A secret that was never used is not in it. Does not change the
   * client or its revision.
   */
  secretUses(id: string): Promise<ReadonlyMap<string, EpochSeconds>>
  /** Stores uses of secrets. An earlier time never replaces a later one, and a secret that is gone is skipped. */
  recordSecretUses(uses: readonly SecretUse[]): Promise<void>
  /** Deletes at most `limit` secrets that expired before `before`. Returns how many were deleted. */
  prune(before: EpochSeconds, limit: number): Promise<number>
  /**
   * Deletes the client, its secrets and its sessions, and revokes all its tokens. Returns false if the client does not exist or, with
   * `revision`, if it has another revision.
   */
  delete(id: string, revision?: number): Promise<boolean>
}
