import type { Client } from '../store/contracts/clients.ts'
import type { StatusIndex } from '../store/contracts/status.ts'
import type { EpochSeconds, Seconds } from '../system.ts'
import type { RefreshTokenParts } from '../tokens/refresh-token.ts'

/** The user a token is about, and the session it belongs to. */
export interface SignedIn {
  readonly userId: string
  /** Names of the roles the user has now. */
  readonly roles: readonly string[]
  readonly authTime: EpochSeconds
  /** How the user authenticated (RFC 8176). */
  readonly amr: readonly string[]
  readonly clientSessionId: string
  /** Index in a status list, the session's own: all tokens of the session carry it. */
  readonly status: StatusIndex
}

export interface IdTokenRequest {
  /** From the authorization request; a refresh has none (OIDC Core §12.2). */
  readonly nonce: string | null
  /** Claims about the user that the client requested by name (OIDC Core §5.5). */
  readonly claims: Readonly<Record<string, unknown>>
}

/**
 * What a grant decides and the token issuer consumes: who, which client, which API, which scopes, until when. A
 * grant never issues a token, so it cannot forget a step of issuing one.
 */
export interface Authorization {
  readonly client: Client
  /** null where no user is involved (RFC 6749 §4.4); the token's `sub` is then the client's id. */
  readonly user: SignedIn | null
  /** One API, or the default audience (RFC 9068 §3). */
  readonly audience: string
  readonly scopes: readonly string[]
  readonly accessTokenTtl: Seconds
  /** End of the session: a token never outlives it. */
  readonly notAfter?: EpochSeconds
  /** Content of the ID token alone (OIDC Core §2), which is issued whenever `openid` was granted. */
  readonly idToken?: IdTokenRequest
  /**
   * Writes the decision to the store: begins the session, or advances it to its next generation. The token issuer
   * calls this last, when everything is signed, so that a failure to sign consumes no code and no refresh token.
   * Resolves with the refresh token to hand out, or null.
   * @throws {OAuthError} if a concurrent request was first
   */
  commit(): Promise<RefreshTokenParts | null>
}
