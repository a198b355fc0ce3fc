/** What a grant produces and the token issuer consumes. */
import type { Client } from '../store/contracts/clients.ts'
import type { StatusIndex } from '../store/contracts/status.ts'
import type { EpochSeconds, Seconds } from '../system.ts'
import type { Confirmation } from '../tokens/confirmation.ts'
import type { RefreshTokenParts } from '../tokens/refresh-token.ts'

/** What only the ID token contains (OIDC Core §2). It is issued if `openid` was granted. */
interface IdTokenRequest {
  /** The nonce of the authorization request; null for a refresh (OIDC Core §12.2). */
  readonly nonce: string | null
  /** Claims about the user (`idTokenClaimsOf`). */
  readonly claims: Readonly<Record<string, unknown>>
}

/** The user that a token is issued for, and the client session of that user. */
export interface SignedInUser {
  readonly userId: string
  /** Names of the roles the user has now. */
  readonly roles: readonly string[]
  readonly authTime: EpochSeconds
  /** How the user authenticated (RFC 8176). */
  readonly amr: readonly string[]
  readonly clientSessionId: string
  /** The session's index in a status list. All access tokens of the session carry it. */
  readonly status: StatusIndex
  readonly idToken: IdTokenRequest
}

/**
 * What a grant decides and the token issuer uses: user, client, API, scopes and expiry. A grant never issues tokens itself, so
 * that no step of issuing them can be forgotten.
 */
export interface Authorization {
  readonly client: Client
  /** null if no user is involved (RFC 6749 §4.4); the token's `sub` is then the client's id. */
  readonly user: SignedInUser | null
  /** The identifier of one API, or the default audience (RFC 9068 §3). */
  readonly audience: string
  readonly scopes: readonly string[]
  readonly accessTokenTtl: Seconds
  /** The end of the session. No token is valid longer. */
  readonly notAfter?: EpochSeconds
  /** What the access token is bound to; null for a bearer token. */
  readonly confirmation: Confirmation | null
  /**
   * Stores the decision: creates the session, or advances it to the next generation. The token issuer calls it last, after
   * signing, so that a failure to sign consumes no code and no refresh token. Resolves with the refresh token to issue, or null.
   * @throws {OAuthError} if a concurrent request committed first
   */
  commit(): Promise<RefreshTokenParts | null>
}
